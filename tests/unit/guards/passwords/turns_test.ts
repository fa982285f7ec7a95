// Who is next when passwords are checked: a client that asks without end must not keep the others out.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Turns, type Waiting } from "../../../../src/guards/passwords/turns.ts";

/** Work that ends when it is told to. */
class Work implements Waiting {
  readonly client: string;
  readonly name: string;
  readonly #log: string[];
  readonly #done = Promise.withResolvers<void>();
  state: "waits" | "runs" | "ended" | "displaced" = "waits";

  constructor(client: string, name: string, log: string[]) {
    this.client = client;
    this.name = name;
    this.#log = log;
  }

  run(): Promise<void> {
    this.state = "runs";
    this.#log.push(this.name);
    return this.#done.promise;
  }

  giveWay(): void {
    this.state = "displaced";
  }

  async end(): Promise<void> {
    this.state = "ended";
    this.#done.resolve();
    await Promise.resolve().then(() => {}).then(() => {}); // the turn passes on
  }
}

Deno.test("Turns lets clients begin in turn, and takes back what waits", async () => {
  const [turns, log] = [new Turns(1), [] as string[]];
  const works = ["a1", "a2", "a3", "b1", "c1", "b2"].map((name) => new Work(name.charAt(0), name, log));
  assertEquals(works.map((work) => turns.enter(work)), works.map(() => true));
  assertEquals(turns.waiting, 5);
  const [, , a3, , c1] = works;
  assertEquals(c1 !== undefined && turns.leave(c1), true);
  assertEquals(c1 !== undefined && turns.leave(c1), false, "it has left");
  for (const work of works) if (work !== c1) await runToEnd(works);
  assertEquals(log, ["a1", "a2", "b1", "a3", "b2"]);
  assertEquals(a3 !== undefined && turns.leave(a3), false, "it has run");
  assertEquals(turns.waiting, 0);
});

async function runToEnd(works: readonly Work[]): Promise<void> {
  await works.find(({ state }) => state === "runs")?.end();
}

Deno.test("Turns has 16 places to wait, of which one client never fills more than 8", () => {
  const [turns, log] = [new Turns(1), [] as string[]];
  const enter = (client: string) => turns.enter(new Work(client, client, log));
  assertEquals(Array.from({ length: 10 }, () => enter("flood")), [...Array(9).fill(true), false]);
  assertEquals(Array.from({ length: 8 }, (_, number) => enter(`client ${number}`)), Array(8).fill(true));
  assertEquals(turns.waiting, 16);
  assertEquals(log, ["flood"]);
});

Deno.test("Turns: clients that fill all places give some up for others, and nobody does for a client that has as many", () => {
  // Two clients with eight checks each kept all others from logging in.
  const [turns, log] = [new Turns(1), [] as string[]];
  const works: Work[] = [];
  const enter = (client: string) => {
    const work = new Work(client, client, log);
    works.push(work);
    return turns.enter(work);
  };
  for (let count = 0; count < 9; count++) enter("flood");
  for (let count = 0; count < 8; count++) enter("other flood");
  assertEquals(turns.waiting, 16);
  for (let client = 0; client < 14; client++) assertEquals(enter(`client ${client}`), true, `${client}`);
  assertEquals(turns.waiting, 16);
  const displaced = works.filter(({ state }) => state === "displaced");
  assertEquals(displaced.map(({ client }) => client).sort(), [
    ...Array(7).fill("flood"),
    ...Array(7).fill("other flood"),
  ]);
  assertEquals([enter("one more"), enter("flood"), enter("client 1")], [false, false, false]);
});

Deno.test("Turns never runs more than so many at a time, and loses none, whatever enters, leaves and ends", async () => {
  const action = fc.record({ kind: fc.constantFrom("enter", "leave", "end"), pick: fc.nat(5) });
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(action), async (atATime, actions) => {
    const [turns, log] = [new Turns(atATime), [] as string[]];
    const works: Work[] = [];
    for (const { kind, pick } of actions) {
      const work = works[pick % (works.length || 1)];
      if (kind === "enter") {
        const entering = new Work(`client ${pick}`, String(works.length), log);
        if (turns.enter(entering)) works.push(entering);
      } else if (kind === "leave" && work !== undefined) {
        const waited = work.state === "waits";
        assertEquals(turns.leave(work), waited);
        if (waited) works.splice(works.indexOf(work), 1);
      } else if (work?.state === "runs") await work.end();
      const [running, waiting] = ["runs", "waits"].map((state) => works.filter((one) => one.state === state).length);
      assertEquals(waiting, turns.waiting);
      assertEquals(
        running,
        Math.min(atATime, works.filter(({ state }) => state === "runs" || state === "waits").length),
      );
    }
    while (works.some(({ state }) => state === "runs")) await runToEnd(works);
    assertEquals(works.every(({ state }) => state === "ended" || state === "displaced"), true);
  }));
});

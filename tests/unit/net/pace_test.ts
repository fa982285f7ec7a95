import { assert, assertEquals } from "@std/assert";
import { Doorbell } from "../../../src/net/doorbell.ts";
import { Pace } from "../../../src/net/pace.ts";
import { settle, waitFor } from "../../support/wait.ts";

/** Works until told otherwise, and asks before each part; returns how many parts it has done. */
async function work(pace: Pace, partMs: number, goesOn: () => boolean): Promise<number> {
  let parts = 0;
  while (goesOn()) {
    await pace.pause();
    parts++;
    for (const begun = performance.now(); performance.now() - begun < partMs;);
  }
  return parts;
}

for (const kind of ["a doorbell", "timers alone"]) {
  Deno.test(`Pace gives others a turn with ${kind}, however many work, and each of those its part`, async () => {
    using pace = kind === "a doorbell" ? await Pace.start() : new Pace(undefined);
    let goesOn = true;
    const workers = Array.from({ length: 50 }, () => work(pace, 0.5, () => goesOn));
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    for (let turn = 0; turn < 20; turn++) { // another socket's, too
      const [accepted, connection] = await Promise.all([
        listener.accept(),
        Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
      ]);
      await settle();
      accepted.close();
      connection.close();
    }
    goesOn = false;
    listener.close();
    const parts = await Promise.all(workers);
    assert(Math.min(...parts) > 0, parts.join(" "));
  });
}

Deno.test("Pace lets go on at once whoever works for less than a turn", async () => {
  using pace = await Pace.start();
  for (let part = 0; part < 3; part++) assertEquals(pace.pause(), undefined);
  await settle(); // the doorbell is heard
});

Deno.test("Pace goes on without its doorbell when that breaks", async () => {
  const doorbell = await Doorbell.install();
  using pace = new Pace(doorbell);
  doorbell?.[Symbol.dispose]();
  let goesOn = true;
  let ended = false;
  const working = work(pace, 1, () => goesOn).finally(() => ended = true);
  for (let turn = 0; turn < 5; turn++) await settle();
  goesOn = false;
  await waitFor(() => ended, { what: "its end" });
  assert(await working > 0);
});

Deno.test("Pace that is closed while its doorbell rings leaves nothing behind, and nobody waiting", async () => {
  for (const doorbell of [await Doorbell.install(), undefined]) {
    const pace = new Pace(doorbell);
    assertEquals(pace.pause(), undefined); // it rings from now on
    for (const begun = performance.now(); performance.now() - begun < 10;);
    const pause = pace.pause();
    assert(pause !== undefined);
    pace[Symbol.dispose]();
    await pause;
    assertEquals(pace.pause(), undefined);
    await settle();
  }
});

Deno.test("Doorbell rings once the runtime has looked, again and again", async () => {
  using doorbell = await Doorbell.install();
  assert(doorbell !== undefined);
  for (let round = 0; round < 100; round++) await doorbell.ring();
});

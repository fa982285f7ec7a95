import { assertEquals, assertRejects } from "@std/assert";
import { DialGate } from "../../../../src/engines/wire/dial_gate.ts";

Deno.test("DialGate: a hundred dial at once, the rest in turn; who gives up leaves no place taken", async () => {
  // 2,000 connections dialled at once overflowed the backends' listen queues, and timeouts.connect marked all down.
  const gate = new DialGate();
  const ends: PromiseWithResolvers<void>[] = [];
  const dials: Promise<void>[] = [];
  while (!gate.full) {
    const end = Promise.withResolvers<void>();
    ends.push(end);
    dials.push(gate.through(() => end.promise));
  }
  assertEquals(ends.length, 100);
  const order: string[] = [];
  const leaving = new AbortController();
  const wait = (name: string, signal = new AbortController().signal) => gate.wait(signal).then(() => order.push(name));
  const first = wait("first");
  const second = assertRejects(() => wait("second", leaving.signal));
  const third = wait("third");
  leaving.abort(new Error("gave up"));
  await second;
  ends[0]?.resolve();
  await first;
  ends[1]?.reject(new Error("refused"));
  await assertRejects(() => dials[1] ?? Promise.resolve());
  await third;
  assertEquals([order, gate.full], [["first", "third"], false]);
  for (const end of ends) end.resolve();
  await Promise.allSettled(dials);
  assertEquals(gate.unused, true);
});

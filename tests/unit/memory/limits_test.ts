import { assert, assertEquals, assertThrows } from "@std/assert";
import { Memory } from "../../../src/memory/memory.ts";

Deno.test("a limit of requests in flight counts all isolates, and what a dead one held is given back", () => {
  const memory = Memory.allocate(3);
  const workers = [1, 2].map((isolate) => Memory.attach(memory.sharedWith(isolate)));
  memory.limits.assign({ concurrency: ["a", "b"], rates: [], cluster: new Map() });
  for (const worker of workers) worker.limits.adopt(memory.limits.shared);
  const [one, other] = workers.map((worker) => worker.limits.concurrency("a"));
  assert(one !== undefined && other !== undefined);
  assertEquals([one.take(3), one.take(3), other.take(3), other.take(3), one.take(3)], [true, true, true, false, false]);
  assertEquals(workers[0]?.limits.concurrency("b").current, 0);
  memory.reclaim(1);
  assertEquals(other.current, 1);
  assertEquals([other.take(3), other.take(3), other.take(3)], [true, true, false]);
  memory.reclaim(1);
  for (let held = 0; held < 3; held++) other.giveBack();
  assertEquals(memory.limits.concurrency("a").current, 0);
});

Deno.test("limits that stay keep their counts over reloads, those that go and come back begin anew", () => {
  const { limits } = Memory.allocate();
  limits.assign({ concurrency: ["a", "b"], rates: ["r"], cluster: new Map() });
  limits.concurrency("a").take(1);
  const rate = limits.shared.rates.get("r");
  limits.assign({ concurrency: ["a"], rates: ["r", "s"], cluster: new Map() });
  assertEquals(limits.concurrency("a").current, 1);
  assert(limits.shared.rates.get("r") === rate);
  assertThrows(() => limits.concurrency("b"), Error, "no memory for the limit b");
  limits.assign({ concurrency: [], rates: [], cluster: new Map() });
  limits.assign({ concurrency: ["a"], rates: [], cluster: new Map() });
  assertEquals(limits.concurrency("a").current, 0);
});

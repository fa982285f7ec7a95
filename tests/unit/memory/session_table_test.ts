import { assert, assertEquals, assertGreater } from "@std/assert";
import fc from "fast-check";
import { SessionTable } from "../../../src/memory/session_table.ts";
import { capacityOf, findFault, sizeOf } from "./session_faults.ts";

const NOW = 1_700_000_000_000;

/** Those of `clients` that have a session; asking makes each the newest in turn. */
function bound(table: SessionTable, clients: readonly string[], nowMs = NOW): string[] {
  return clients.filter((client) => table.find(client, nowMs) !== undefined);
}

Deno.test("SessionTable.find() returns the place a client was bound to last, and nothing for others", () => {
  const table = SessionTable.allocate(1000);
  table.bind("10.0.0.1", 4095, 7, NOW);
  table.bind("10.0.0.2", 0, 1, NOW);
  assertEquals(table.find("10.0.0.1", NOW), { slot: 4095, generation: 7 });
  assertEquals(table.find("10.0.0.2", NOW), { slot: 0, generation: 1 });
  assertEquals(table.find("10.0.0.3", NOW), undefined);
  table.bind("10.0.0.1", 3, 2_000_000_000, NOW);
  assertEquals(table.find("10.0.0.1", NOW), { slot: 3, generation: 2_000_000_000 });
  assertEquals([sizeOf(table), findFault(table)], [2, undefined]);
});

Deno.test("SessionTable knows a client by its address, however it is written", () => {
  const same = [
    ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1"],
    ["2001:db8::a", "2001:0DB8:0:0:0:0:0:A"],
    ["fe80::1%eth0"],
    ["fe80::1%eth1"],
    ["fe80::1"],
    ["::"],
    ["0.0.0.0"],
    ["unknown"],
    ["Unknown"],
    [""],
    ["10"], // 0.0.0.10 to a lenient reader
    ["010.0.0.1"], // 8.0.0.1 to a lenient reader
    ["8.0.0.1"],
    ["10.0.0.1"],
  ];
  const table = SessionTable.allocate(1000);
  same.forEach(([client = ""], slot) => table.bind(client, slot, 1, NOW));
  assertEquals(sizeOf(table), same.length);
  same.forEach((spellings, slot) => {
    for (const client of spellings) assertEquals(table.find(client, NOW)?.slot, slot, client);
  });
});

Deno.test("SessionTable tells addresses apart by every one of their bits", () => {
  for (let bit = 0; bit < 128; bit++) {
    const table = SessionTable.allocate(1000, 2); // of two buckets: about half of the pairs share one
    const digits = (1n << BigInt(bit)).toString(16).padStart(32, "0");
    table.bind("::", 1, 1, NOW);
    table.bind(digits.match(/.{4}/g)?.join(":") ?? "", 2, 1, NOW);
    assertEquals([table.find("::", NOW)?.slot, sizeOf(table)], [1, 2], digits);
  }
  const table = SessionTable.allocate(1000);
  for (let bit = 0; bit < 32; bit++) {
    const address = 1 << bit;
    table.bind([24, 16, 8, 0].map((shift) => address >>> shift & 255).join("."), bit, 1, NOW);
  }
  assertEquals([sizeOf(table), findFault(table)], [32, undefined]);
});

Deno.test("SessionTable ends a session when the timeout has passed since its last use", () => {
  const table = SessionTable.allocate(1000);
  table.bind("10.0.0.1", 1, 1, NOW);
  assert(table.find("10.0.0.1", NOW + 999), "999 ms after bind()");
  assert(table.find("10.0.0.1", NOW + 1998), "999 ms after find()");
  table.bind("10.0.0.1", 1, 1, NOW + 2997);
  assert(table.find("10.0.0.1", NOW + 3996), "999 ms after a second bind()");
  assertEquals(table.find("10.0.0.1", NOW + 4996), undefined);
  assertEquals(table.find("10.0.0.1", NOW + 4996), undefined, "a vain find() is no use");
  table.bind("10.0.0.1", 2, 1, NOW + 4996);
  assertEquals(table.find("10.0.0.1", NOW + 5995), { slot: 2, generation: 1 });
  assertEquals(sizeOf(table), 1);
});

Deno.test("SessionTable gives the entry of a session that timed out to the next client", () => {
  const table = SessionTable.allocate(1000, 10);
  table.bind("10.0.0.1", 1, 1, NOW);
  table.bind("10.0.0.2", 2, 1, NOW + 1);
  table.bind("10.0.0.3", 3, 1, NOW + 1000);
  assertEquals(sizeOf(table), 2);
  assertEquals(bound(table, ["10.0.0.1", "10.0.0.2", "10.0.0.3"], NOW + 1000), ["10.0.0.2", "10.0.0.3"]);
  assertEquals(findFault(table), undefined);
});

Deno.test("SessionTable drops the client used least recently when it is full, find() and bind() being uses", () => {
  const table = SessionTable.allocate(1000, 3);
  for (const client of ["a", "b", "c"]) table.bind(client, 1, 1, NOW);
  table.find("a", NOW);
  table.bind("b", 2, 1, NOW);
  table.find("no such client", NOW);
  table.bind("d", 1, 1, NOW); // after c, a, b
  assertEquals(bound(table, ["c"]), []);
  table.bind("e", 1, 1, NOW); // after a, b, d
  assertEquals(bound(table, ["a"]), []);
  table.find("b", NOW);
  table.bind("f", 1, 1, NOW); // after d, e, b
  assertEquals(bound(table, ["a", "b", "c", "d", "e", "f"]), ["b", "e", "f"]);
  assertEquals([sizeOf(table), findFault(table)], [3, undefined]);
});

Deno.test("SessionTable holds one client if that is its capacity", () => {
  const table = SessionTable.allocate(1000, 1);
  for (const client of ["a", "b", "b", "c"]) table.bind(client, 1, 1, NOW);
  assertEquals(bound(table, ["a", "b", "c"]), ["c"]);
  assertEquals([sizeOf(table), findFault(table)], [1, undefined]);
});

Deno.test("SessionTable holds the latest 100,000 of 150,000 clients, IPv4 and IPv6", () => {
  const table = SessionTable.allocate(1000);
  const clients = Array.from({ length: 150_000 }, (_, index) => {
    const [high, low] = [index >>> 8, index & 255];
    return index % 2 === 0 ? `10.${high >>> 8}.${high & 255}.${low}` : `2001:db8:${high.toString(16)}::${low}`;
  });
  clients.forEach((client, index) => table.bind(client, index % 4096, index, NOW));
  assertEquals([sizeOf(table), capacityOf(table)], [100_000, 100_000]);
  assertEquals(findFault(table), undefined);
  const wrong = clients.filter((client, index) => table.find(client, NOW)?.generation !== index);
  assertEquals(wrong.length, 50_000);
  assertEquals(wrong, clients.slice(0, 50_000));
});

Deno.test("SessionTable takes 5.3 MB for 100,000 entries", () => {
  assertEquals(SessionTable.allocate(1000).shared.buffer.byteLength, 128 + 100_000 * 48 + 131_072 * 4);
});

Deno.test("SessionTable behaves as a Map in order of use does", () => {
  const clients = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2", "::1", "x", "y"];
  const step = fc.record({
    advanceMs: fc.nat(40),
    client: fc.constantFrom(...clients),
    bind: fc.option(fc.nat(4095), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 100, size: "max" }), (capacity, steps) => {
      const timeoutMs = 100;
      const table = SessionTable.allocate(timeoutMs, capacity);
      const other = SessionTable.attach(table.shared, 1);
      const model = new Map<string, { slot: number; generation: number; usedAt: number }>();
      let now = NOW;
      steps.forEach(({ advanceMs, client, bind }, index) => {
        now += advanceMs;
        const known = model.get(client);
        const live = known !== undefined && now - known.usedAt < timeoutMs ? known : undefined;
        if (bind !== undefined) {
          const [oldest] = model;
          const room = model.size < capacity && (oldest === undefined || now - oldest[1].usedAt < timeoutMs);
          if (known === undefined && !room && oldest !== undefined) model.delete(oldest[0]);
          model.delete(client);
          model.set(client, { slot: bind, generation: index, usedAt: now });
          table.bind(client, bind, index, now);
        } else {
          if (live !== undefined) {
            model.delete(client);
            model.set(client, { ...live, usedAt: now });
          }
          const expected = live === undefined ? undefined : { slot: live.slot, generation: live.generation };
          assertEquals(other.find(client, now), expected);
        }
        assertEquals([sizeOf(table), findFault(table)], [model.size, undefined]);
      });
    }),
    { numRuns: 500 },
  );
});

interface WorkerResult {
  readonly found: number;
  readonly wrong: readonly string[];
}

/** A worker that has done nothing for so long never will. How long all of its work takes is the machine's affair. */
const STANDSTILL_MS = 20_000;

/** Two words: how many stand at the gate, which opens for two, and a count that goes up as they get on. */
function gateForTwo(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

/** Runs `session_worker.ts` on the table. */
function hammer(
  table: SessionTable,
  options: { gate: SharedArrayBuffer; isolate: number; clients: number; rounds: number },
): Promise<WorkerResult> {
  const worker = new Worker(new URL("./session_worker.ts", import.meta.url), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<WorkerResult>();
  worker.onmessage = (event: MessageEvent<WorkerResult>) => resolve(event.data);
  worker.onerror = (event) => reject(new Error(event.message));
  const progress = new Int32Array(options.gate, 4, 1);
  let seen = 0;
  const watch = setInterval(() => {
    if (progress[0] === seen) reject(new Error("the worker is lost in a circle of links"));
    seen = progress[0] ?? 0;
  }, STANDSTILL_MS);
  worker.postMessage({ buffer: table.shared.buffer, ...options });
  return promise.finally(() => {
    clearInterval(watch);
    worker.terminate();
  });
}

for (const [capacity, clients] of [[32, 48], [2, 3]] as const) {
  const name = `SessionTable keeps ${capacity} entries whole while two workers bind and find ${clients} clients`;
  Deno.test(name, async () => {
    const table = SessionTable.allocate(1e6, capacity);
    const gate = gateForTwo();
    const options = { gate, clients, rounds: 500_000 };
    const results = await Promise.all([1, 2].map((isolate) => hammer(table, { ...options, isolate })));
    for (const { found, wrong } of results) {
      assertEquals(wrong, []);
      assertGreater(found, options.rounds / 3);
    }
    assertEquals([sizeOf(table), findFault(table)], [capacity, undefined]);
  });
}

/** The lock: 0 when free, else the number of the isolate that holds it, plus 1. */
function lockWord(table: SessionTable): Int32Array {
  return new Int32Array(table.shared.buffer, 0, 1);
}

Deno.test("SessionTable.releaseLockOf() empties a table whose lock a dead isolate held, whatever it left", () => {
  const table = SessionTable.allocate(1000, 16);
  for (let client = 0; client < 20; client++) table.bind(`10.0.0.${client}`, 1, 1, NOW);
  lockWord(table)[0] = 4;
  new Int32Array(table.shared.buffer, 4, 3).fill(5); // size, newest, oldest
  new Int32Array(table.shared.buffer, 128).fill(5); // every entry and bucket
  assertEquals(table.releaseLockOf(3), true);
  assertEquals([sizeOf(table), findFault(table)], [0, undefined]);
  assertEquals(bound(table, Array.from({ length: 20 }, (_, client) => `10.0.0.${client}`)), []);
  const clients = Array.from({ length: 20 }, (_, client) => `10.0.1.${client}`);
  for (const client of clients) table.bind(client, 1, 1, NOW);
  assertEquals(findFault(table), undefined);
  assertEquals(bound(table, clients), clients.slice(4));
});

Deno.test("SessionTable.releaseLockOf() changes nothing where the isolate does not hold the lock", () => {
  const table = SessionTable.allocate(1000);
  table.bind("10.0.0.1", 1, 1, NOW);
  assertEquals(table.releaseLockOf(3), false);
  lockWord(table)[0] = 3; // isolate 2
  assertEquals(table.releaseLockOf(3), false);
  assertEquals(lockWord(table)[0], 3);
  lockWord(table)[0] = 0;
  assertEquals(table.find("10.0.0.1", NOW), { slot: 1, generation: 1 });
});

Deno.test("SessionTable: who waits for the lock of a dead isolate goes on when it is released", async () => {
  const table = SessionTable.allocate(1e6, 32);
  table.bind("10.0.0.1", 1, 1, NOW);
  lockWord(table)[0] = 3; // isolate 2
  const gate = gateForTwo();
  const passed = new Int32Array(gate);
  passed[0] = 1;
  let isOver = false;
  const over = hammer(table, { gate, isolate: 1, clients: 16, rounds: 1000 }).then((result) => {
    isOver = true;
    return result;
  });
  // From the gate to the lock takes it a moment, which nothing tells; too short a pause would only prove less.
  while (Atomics.load(passed, 0) < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals([isOver, lockWord(table)[0], sizeOf(table)], [false, 3, 1]);
  assertEquals(table.releaseLockOf(2), true);
  assertEquals((await over).wrong, []); // it would be wrong to find the session from before
  assertEquals([sizeOf(table), findFault(table)], [16, undefined]);
});

Deno.test("SessionTable.peek() finds what find() would, and makes nobody younger", () => {
  const table = SessionTable.allocate(1000, 2);
  table.bind("10.0.0.1", 1, 1, NOW);
  table.bind("10.0.0.2", 2, 1, NOW);
  assertEquals(table.peek("10.0.0.1", NOW + 999), { slot: 1, generation: 1 });
  assertEquals([table.peek("10.0.0.1", NOW + 1000), table.peek("10.0.0.3", NOW)], [undefined, undefined]);
  table.bind("10.0.0.3", 3, 1, NOW);
  assertEquals(bound(table, ["10.0.0.1"]), [], "it was the oldest in spite of the look");
});

Deno.test("SessionTable.peek() does not wait for a lock that a dead isolate holds", () => {
  const table = SessionTable.allocate(1000);
  table.bind("10.0.0.1", 1, 1, NOW);
  new Int32Array(table.shared.buffer)[0] = 2 + 1; // isolate 2 has the lock
  assertEquals(table.peek("10.0.0.1", NOW), undefined);
  assert(table.releaseLockOf(2));
  table.bind("10.0.0.1", 1, 1, NOW);
  assertEquals(table.peek("10.0.0.1", NOW), { slot: 1, generation: 1 });
});

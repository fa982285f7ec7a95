// A copy has three things to give back: its place among the 100, its connection, and its result in the metrics. Over sockets
// few of the orders in which a request and its copy go on and end ever happen.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Memory } from "../../../src/memory/memory.ts";
import type { BodyWatcher, CopyListener, RequestCopies, RequestCopy } from "../../../src/proxy/exchange.ts";
import { Mirror } from "../../../src/proxy/mirror.ts";
import { Bench, failure, FakeExchange, LOST, OK, type Outcome } from "../../support/forwarder_bench.ts";
import { poolOf } from "../../support/pool.ts";

const MOST_BYTES = 20;

/** Copies that come to what a test says, when it says so. */
class FakeCopies implements RequestCopies {
  watcher: BodyWatcher | undefined;
  readonly sent: { readonly copy: RequestCopy; readonly listener: CopyListener }[] = [];

  watchBody(watcher: BodyWatcher): void {
    this.watcher = watcher;
  }

  sendCopy(copy: RequestCopy, listener: CopyListener): void {
    this.sent.push({ copy, listener });
  }
}

/** How the copy of a request goes. */
interface Plan {
  readonly outcomes: readonly Outcome[];
  /** The sizes of the body's parts; `undefined`: there is no body. */
  readonly parts: readonly number[] | undefined;
  /** Whether the last part comes. */
  readonly whole: boolean;
  /** Parts that arrive before the request is answered. */
  readonly early: number;
  readonly copy: "answers" | "fails" | "breaks off" | "cut";
  /** Whether the copy ends before its request. */
  readonly first: boolean;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  outcomes: fc.array(fc.constantFrom(OK, LOST, undefined, { status: 500 }), { minLength: 1, maxLength: 3 }),
  parts: fc.option(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 }), { nil: undefined }),
  whole: fc.boolean(),
  early: fc.integer({ min: 0, max: 4 }),
  copy: fc.constantFrom("answers", "fails", "breaks off", "cut"),
  first: fc.boolean(),
});

/** A bench whose requests are copied to a pool with one backend. */
function mirrored(maxConnections = 0) {
  const bench = new Bench();
  const memory = Memory.allocate();
  const pool = poolOf([1], memory.pool(0));
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("there is one");
  if (maxConnections > 0) pool.update(backend, { maxConnections }, "test");
  memory.limits.assign({ concurrency: ["mirror"], rates: [], cluster: new Map() });
  const places = memory.limits.concurrency("mirror");
  const mirror = new Mirror({
    config: { pool: "shadow", share: 1, maxBodyBytes: MOST_BYTES, methods: ["GET", "POST"] },
    pool: bench.runtime({ pool }),
    places,
  });
  bench.forwarder.configure({
    ...bench.parts,
    route: { ...bench.parts.route, rules: { ...bench.parts.route.rules, mirror } },
  });
  const results = () => {
    const { mirrored } = bench.shared.memory.metrics.processCounts();
    return Object.fromEntries(Array.from(mirrored).filter(([, count]) => count > 0));
  };
  return { bench, backend, places, results };
}

/** Plays a plan. Returns what has to come of the copy. */
async function play({ parts, whole, early, copy, first, outcomes }: Plan, bench: Bench): Promise<string> {
  const exchange = new FakeExchange(outcomes, parts === undefined ? {} : { method: "POST", bodyBytes: undefined });
  const copies = new FakeCopies();
  exchange.copies = copies;
  let shown = 0;
  const show = (count: number) => {
    for (; shown < count && shown < (parts?.length ?? 0); shown++) {
      const last = whole && shown === (parts?.length ?? 0) - 1;
      copies.watcher?.bodyCame(new Uint8Array(parts?.[shown] ?? 0).fill(shown + 1), last);
    }
  };
  const end = () => {
    for (const { listener } of copies.sent.splice(0)) {
      if (copy === "answers" || copy === "breaks off") listener.answered(200);
      listener.ended(copy === "fails" ? LOST : copy === "cut" ? failure("client_gone", true, "client") : undefined);
    }
  };
  let seen = "";
  let calls = 0;
  exchange.meanwhile = () => {
    if (calls++ > 0) return;
    show(early);
    seen = copies.sent.map(({ copy }) => copy.body?.join() ?? "none").join("; ");
    if (first) end();
  };
  await bench.forwarder.handle(exchange);
  show(4); // too late
  end();
  const sum = (count: number) => (parts ?? []).slice(0, count).reduce((total, size) => total + size, 0);
  const sent = copy === "fails" || copy === "cut" ? "failed" : "answered";
  if (parts === undefined) {
    assertEquals(seen, "none");
    return sent;
  }
  if (sum(early) > MOST_BYTES) return "too_large";
  if (early < parts.length || !whole) return "incomplete";
  assertEquals(seen, parts.flatMap((size, index) => Array(size).fill(index + 1)).join());
  return sent;
}

Deno.test("every copy ends once, whatever comes of it and of its request, in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(plans, { minLength: 1, maxLength: 6 }), async (list) => {
      const { bench, backend, places, results } = mirrored();
      using _bench = bench;
      const expected: Record<string, number> = {};
      for (const result of await Promise.all(list.map((plan) => play(plan, bench)))) {
        expected[result] = (expected[result] ?? 0) + 1;
      }
      bench.mustBeIdle();
      assertEquals(results(), expected);
      assertEquals([places.current, backend.currentConnections], [0, 0]);
      const { answered = 0, failed = 0 } = expected;
      assertEquals(backend.totalRequests, answered + failed);
      assertEquals(backend.responses["2xx"], answered);
    }),
    { numRuns: 200 },
  );
});

Deno.test("the copy of a request keeps the body that came, not the memory that it came in", async () => {
  // An engine uses the memory of a part again as soon as the call has returned.
  const { bench } = mirrored();
  using _bench = bench;
  const exchange = new FakeExchange([OK], { method: "POST", bodyBytes: 8 });
  const copies = new FakeCopies();
  exchange.copies = copies;
  const memory = new Uint8Array(4);
  exchange.meanwhile = () => {
    copies.watcher?.bodyCame(memory.fill(1), false);
    copies.watcher?.bodyCame(memory.fill(2), true);
    memory.fill(9);
  };
  await bench.forwarder.handle(exchange);
  assertEquals(copies.sent.map(({ copy }) => Array.from(copy.body ?? [])), [[1, 1, 1, 1, 2, 2, 2, 2]]);
  for (const { listener } of copies.sent) listener.ended(undefined);
});

Deno.test("a copy takes no place that is not there", async () => {
  const { bench, backend, places, results } = mirrored(1);
  using _bench = bench;
  const sent = await Promise.all([1, 2].map(async () => {
    const exchange = new FakeExchange([OK]);
    const copies = new FakeCopies();
    exchange.copies = copies;
    await bench.forwarder.handle(exchange);
    return copies.sent;
  }));
  assertEquals([sent.map(({ length }) => length), places.current, backend.currentConnections], [[1, 0], 1, 1]);
  sent[0]?.[0]?.listener.ended(LOST);
  assertEquals([results(), places.current, backend.currentConnections], [{ unavailable: 1, failed: 1 }, 0, 0]);
});

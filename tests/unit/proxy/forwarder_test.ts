// The forwarder could only be tested through sockets, where few of the orders in which things go wrong ever happen.

import { assert, assertEquals, assertLess } from "@std/assert";
import fc from "fast-check";
import type { Backend } from "../../../src/pool/backend.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import type { Relayed } from "../../../src/proxy/exchange.ts";
import { clientGone } from "../../../src/failures.ts";
import type { RequestHead } from "../../../src/proxy/message.ts";
import type { ForwarderParts } from "../../../src/proxy/rules.ts";
import { waitFor } from "../../support/wait.ts";
import {
  Bench,
  type BenchSettings,
  failure,
  FakeExchange,
  LOST,
  OK,
  type Outcome,
  REFUSED,
} from "../../support/forwarder_bench.ts";

/** Tells one exchange on a bench of its own. */
async function tell(outcomes: readonly Outcome[], settings: BenchSettings = {}, head: Partial<RequestHead> = {}) {
  using bench = new Bench(settings);
  return await bench.tell(new FakeExchange(outcomes, head));
}

const POST = { method: "POST", bodyBytes: 4 };

Deno.test("Forwarder tries other backends as the retry rule says, and no more than it says", async () => {
  const three = { backends: 3 };
  assertEquals(await tell([OK]), "1, relay 200");
  assertEquals(await tell([LOST, OK]), "1, 2, relay 200");
  assertEquals(await tell([LOST], three), "1, 2, 3, answer 502");
  assertEquals(await tell([LOST], { backends: 4 }), "1, 2, 3, answer 502");
  assertEquals(await tell([LOST, OK], three, POST), "1, answer 502");
  assertEquals(await tell([REFUSED, OK], {}, POST), "1, 2, relay 200");
  assertEquals(await tell([failure("connect_failed", true), OK], three, POST), "1, answer 502");
  assertEquals(await tell([failure("response_timeout")]), "1, 2, answer 504");
  assertEquals(await tell([failure("malformed_response"), OK]), "1, answer 502");
  assertEquals(await tell([LOST, OK], { rules: { maxRetries: 0 } }), "1, answer 502");
  assertEquals(await tell([new Error("a bug"), OK]), "1, answer 500");
  assertEquals(await tell([REFUSED], { backends: 1 }), "1, answer 502");
});

Deno.test("Forwarder goes by the rules that a request began with, whatever is configured meanwhile", async () => {
  // It reread them at every step: a reload in the middle of a request mixed two configurations.
  using bench = new Bench({ rules: { retryStatuses: new Set([503]), maxRetries: 1 } });
  const { parts } = bench;
  const { rules } = parts.route;
  const old: ForwarderParts = {
    ...parts,
    route: {
      pool: bench.runtime({ retryShare: 1, cookie: "old" }),
      rules: { ...rules, responseHeaders: { set: [["x-rules", "old"]], remove: new Set() } },
    },
  };
  const empty = new ServerPool(bench.shared.memory.pool(1));
  const other: ForwarderParts = {
    ...parts,
    route: {
      pool: bench.runtime({ pool: empty, retryShare: 0, cookie: "new" }),
      rules: {
        ...rules,
        maxRetries: 0,
        retryStatuses: new Set(),
        responseHeaders: { set: [["x-rules", "new"]], remove: new Set() },
        limits: { ...rules.limits },
      },
    },
  };
  for (const outcomes of [[{ status: 503 }, OK], [LOST, OK]]) {
    bench.forwarder.configure(old);
    const exchange = new FakeExchange(outcomes);
    exchange.meanwhile = () => bench.forwarder.configure(other);
    const story = await bench.tell(exchange);
    assertEquals(story.replace("discard 503, ", ""), story.startsWith("1") ? "1, 2, relay 200" : "2, 1, relay 200");
    const headers = exchange.headers.filter(([name]) => name !== "x-request-id");
    assertEquals(headers.map(([name, value]) => [name, value.slice(0, 4)]), [["x-rules", "old"], [
      "set-cookie",
      "old=",
    ]]);
    assert(exchange.limits === old.route.rules.limits);
  }
  assertEquals(await bench.tell(new FakeExchange([OK])), "answer 503", "the next one goes by the new rules");
});

Deno.test("Forwarder keeps a request in the queue as long as the rules say that it began with", async () => {
  using bench = new Bench({ backends: 1, queue: { timeoutMs: 30 } });
  const [only] = bench.pool.backends;
  assert(only !== undefined);
  bench.pool.update(only, { maxConnections: 1 }, "test");
  const lease = only.lease();
  const { parts } = bench;
  const waiting = new FakeExchange([OK]);
  const handled = bench.forwarder.handle(waiting);
  const pool = bench.runtime({ queue: { size: 0, timeoutMs: 60_000, holdMs: 60_000 } });
  bench.forwarder.configure({ ...parts, route: { ...parts.route, pool } });
  await handled;
  assertEquals(waiting.story, ["answer 503"]);
  lease?.release();
  bench.mustBeIdle();
});

Deno.test("Forwarder retries the statuses it is told to, and passes the last one on", async () => {
  const rules = { retryStatuses: new Set([503]) };
  assertEquals(await tell([{ status: 503 }, OK], { rules }), "1, discard 503, 2, relay 200");
  assertEquals(await tell([{ status: 503 }], { rules }), "1, discard 503, 2, relay 503");
  assertEquals(await tell([{ status: 503 }, OK], { rules }, POST), "1, relay 503");
  assertEquals(await tell([{ status: 502 }, OK], { rules }), "1, relay 502");
});

Deno.test("Forwarder never begins again after a 1xx, nor with a body that is gone", async () => {
  using bench = new Bench();
  const exchange = Object.assign(new FakeExchange([REFUSED, OK], POST), { replayable: false });
  assertEquals(await bench.tell(exchange), "1, answer 502");
});

Deno.test("Forwarder answers where a relay failed unsaid, and blames the backend once where it was cut", async () => {
  using bench = new Bench();
  const unsaid = { failure: failure("malformed_response"), unsaid: true };
  assertEquals(await bench.tell(new FakeExchange([{ status: 200, relayed: unsaid }])), "1, relay 200, answer 502");
  assertEquals(await bench.tell(new FakeExchange([{ status: 200, relayed: { failure: LOST } }])), "2, relay 200");
  assertEquals(
    await bench.tell(new FakeExchange([{ status: 200, relayed: { failure: clientGone() } }])),
    "1, relay 200",
  );
  assertEquals(bench.log.lines.filter(({ level }) => level === "warn").map(({ message }) => message), [
    "attempt failed",
    "response cut",
  ]);
  assertEquals(bench.shared.memory.requestTotals().failed, 2, "a client that leaves is nobody's failure");
});

Deno.test("Forwarder lets a client that leaves go at each step, and blames no backend", async () => {
  using bench = new Bench({ backends: 1, queue: { timeoutMs: 60_000 } });
  const before = new FakeExchange([OK]);
  before.brokenOff = clientGone();
  assertEquals(await bench.tell(before), "answer 499");
  assertEquals(await bench.tell(new FakeExchange([undefined])), "1, answer 499");
  const [only] = bench.pool.backends;
  bench.pool.update(only as Backend, { maxConnections: 1 }, "test"); // there is one
  const lease = only?.lease();
  const waiting = new FakeExchange([OK]);
  const handled = bench.forwarder.handle(waiting);
  await waitFor(() => bench.shared.line.queued() === 1, { what: "the request to wait" });
  waiting.brokenOff = clientGone();
  await handled;
  assertEquals(waiting.story, ["answer 499"]);
  lease?.release();
  bench.mustBeIdle();
  assertEquals([bench.log.lines.some(({ level }) => level === "warn"), only?.up], [false, true]);
});

Deno.test("Forwarder refuses without a backend what none may get", async () => {
  assertEquals(await tell([OK], {}, { method: "CONNECT" }), "answer 405");
  assertEquals(await tell([OK], {}, { method: "TRACE" }), "answer 405");
  assertEquals(await tell([OK], {}, { authority: undefined }), "answer 400");
  assertEquals(await tell([OK], {}, { authority: "a b" }), "answer 400");
  assertEquals(await tell([OK], { limits: { maxBodyBytes: 3 } }, POST), "answer 413");
  using bench = new Bench();
  const exchange = new FakeExchange([OK]);
  exchange.brokenOff = failure("not_implemented", false, "client");
  assertEquals(await bench.tell(exchange), "answer 501");
});

Deno.test("Forwarder keeps retries within the budget, and each counts once", async () => {
  using bench = new Bench({ retryShare: 0 });
  const stories: string[] = [];
  for (let request = 0; request < 30; request++) stories.push(await bench.tell(new FakeExchange([LOST, OK])));
  const retried = stories.filter((story) => story.endsWith("relay 200")).length;
  assert(retried > 5 && retried < 11);
  assertEquals(bench.shared.memory.requestTotals().retried, retried);
});

Deno.test("Forwarder queues while all are full: a place that comes free is used, a wait has its end", async () => {
  using bench = new Bench({ backends: 1, queue: { size: 2 } });
  const [only] = bench.pool.backends;
  assert(only !== undefined);
  bench.pool.update(only, { maxConnections: 1 }, "test");
  const gate = Promise.withResolvers<void>();
  const first = new FakeExchange([OK]);
  first.meanwhile = () => gate.promise;
  const [second, third, fourth] = [new FakeExchange([OK]), new FakeExchange([OK]), new FakeExchange([OK])];
  const handled = [first, second, third, fourth].map((exchange) => bench.forwarder.handle(exchange));
  await handled[3];
  assertEquals(fourth.story, ["answer 503"], "the queue is full");
  gate.resolve();
  await Promise.all(handled);
  assertEquals([first, second, third].map(({ story }) => story.join()), Array(3).fill("1,relay 200"));
  const lease = only.lease();
  const late = new FakeExchange([OK]);
  await bench.forwarder.handle(late);
  assertEquals(late.story, ["answer 503"]);
  lease?.release();
  bench.mustBeIdle();
});

Deno.test("Forwarder holds requests for a backend that comes back, budget or not, and tells them when it does not", async () => {
  using bench = new Bench({ backends: 1, retryShare: 0, queue: { size: 100, holdMs: 60_000 } });
  const [only] = bench.pool.backends;
  assert(only !== undefined);
  const exchanges = Array.from({ length: 40 }, (_, index) => new FakeExchange([index % 2 === 0 ? LOST : REFUSED, OK]));
  const handled = exchanges.map((exchange) => bench.forwarder.handle(exchange));
  await waitFor(() => bench.shared.line.holding() === 40, { what: "all to wait" });
  bench.pool.setUp(only, true, "test");
  await Promise.all(handled);
  assertEquals(exchanges.map(({ story }) => story.join()), Array(40).fill("1,1,relay 200"));
  bench.mustBeIdle();
  assertEquals(await tell([REFUSED], { backends: 1, queue: { holdMs: 30 } }), "1, answer 502");
  bench.pool.update(only, { state: "disabled" }, "test");
  assertEquals(await bench.tell(new FakeExchange([OK])), "answer 503", "an operator's doing is no reason to wait");
});

Deno.test("Forwarder sends a lost GET to the only backend again where there is a hold, a POST never", async () => {
  const queue = { holdMs: 60_000, timeoutMs: 60_000 };
  assertEquals(await tell([LOST, OK], { backends: 1, queue }), "1, 1, relay 200");
  assertEquals(await tell([LOST], { backends: 1, queue }), "1, 1, 1, answer 502");
  assertEquals(await tell([LOST, OK], { backends: 1, queue }, POST), "1, answer 502");
  assertEquals(await tell([failure("response_timeout"), OK], { backends: 1, queue }), "1, answer 504");
});

Deno.test("Forwarder ends every exchange once and leaves nothing behind, whatever happens in whatever order", async () => {
  const codes = ["connect_failed", "connection_lost", "response_timeout", "malformed_response", "internal"] as const;
  const failed = fc.record({ code: fc.constantFrom(...codes), sent: fc.boolean() }).map(({ code, sent }) => {
    return failure(code, sent, code === "internal" ? "proxy" : "backend");
  });
  const answered = fc.record({
    status: fc.constantFrom(200, 204, 404, 500, 503),
    relayed: fc.constantFrom<Partial<Relayed>>({}, { failure: LOST }, { failure: LOST, unsaid: true }),
  });
  const outcome: fc.Arbitrary<Outcome> = fc.oneof(
    failed,
    answered,
    fc.constant(undefined),
    fc.constant(new Error("bug")),
  );
  const request = fc.record({
    outcomes: fc.array(outcome, { minLength: 1, maxLength: 5 }),
    post: fc.boolean(),
    replayable: fc.boolean(),
  });
  const run = fc.asyncProperty(
    fc.array(request, { minLength: 1, maxLength: 6 }),
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom(0, 20),
    async (requests, backends, holdMs) => {
      using bench = new Bench({ backends, queue: { holdMs, timeoutMs: 10 }, rules: { retryStatuses: new Set([503]) } });
      for (const backend of bench.pool.backends) bench.pool.update(backend, { maxConnections: 2 }, "test");
      const exchanges = requests.map(({ outcomes, post, replayable }) => {
        return Object.assign(new FakeExchange(outcomes, post ? POST : {}), { replayable });
      });
      await Promise.all(exchanges.map((exchange) => bench.forwarder.handle(exchange)));
      bench.mustBeIdle();
      for (const { story } of exchanges) {
        const ends = story.filter((step) => step.startsWith("relay") || step.startsWith("answer"));
        assert(ends.length > 0 && ends.slice(0, -1).every((step) => step.startsWith("relay")), `${story}`); // unsaid ones
        assertLess(story.length - ends.length, 9, `${story}`);
      }
      assertEquals(bench.shared.memory.requestTotals().total, requests.length);
    },
  );
  await fc.assert(run, { numRuns: 150 });
});

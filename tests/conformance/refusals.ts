/** What the proxy answers itself: when, and in which form. */

import { assert, assertEquals, assertGreaterOrEqual, assertMatch, assertNotMatch } from "@std/assert";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import type { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";
import { answered, ask, type EngineUnderTest, get, LIMIT_MS, post, startProxy } from "./engine_under_test.ts";

/** Fails unless the response is a problem (RFC 9457) that tells a client nothing of the backends. */
function assertProblem(response: RawResponse, status: number): void {
  assertEquals([response.status, headerOf(response, "content-type")], [status, "application/problem+json"]);
  assertNotMatch(textOf(response), /127\.0\.0\.1|localhost/);
  const problem = JSON.parse(textOf(response));
  assertEquals(Object.keys(problem).sort(), ["detail", "requestId", "status", "title", "type"]);
  assertEquals([problem.status, problem.requestId], [status, headerOf(response, "x-request-id")]);
  for (const text of [problem.type, problem.title, problem.detail]) assertMatch(text, /./);
  // Under wire, they had no date, and half of the names were in capitals.
  assertMatch(headerOf(response, "date") ?? "", /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  const names = response.headers.map(([name]) => name);
  assertEquals(names, names.map((name) => name.toLowerCase()));
  assertEquals(names.toSorted(), [...new Set(names)].toSorted());
}

/** A backend that holds every request until it is told to answer, and then answers all. */
function gated() {
  const gate = Promise.withResolvers<void>();
  const backend = new RecordingBackend(async (request) => {
    await gate.promise;
    return echoOf(request);
  });
  return { backend, open: gate.resolve };
}

const queued = (proxy: TestProxy) => proxy.pool.shared.line.queued();

export function testRefusals(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: refusals: ${what}`;

  Deno.test(name("every one is a problem with the request's id, and shows no backend's address"), async () => {
    await using dropping = new RecordingBackend(() => undefined);
    await using malformed = RawBackend.answering("nonsense\r\n\r\n");
    await using silent = new RawBackend((connection) => connection.toEnd());
    const cases: [backends: string[], request: string, status: number][] = [
      [[dropping.url], "GET / HTTP/1.1\r\n\r\n", 400],
      [[dropping.url], "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405],
      [[dropping.url], post("/", "more than ten bytes"), 413],
      [[dropping.url], post("/", "lost"), 502],
      [[malformed.url], get("/"), 502],
      [[refusedUrl()], get("/"), 502],
      [[silent.url], get("/"), 504],
      [[], get("/"), 503],
    ];
    for (const [backends, request, status] of cases) {
      await using proxy = await startProxy(engine, {
        backends,
        proxy: { maxBodySize: 10 },
        timeouts: { response: LIMIT_MS },
      });
      using client = await RawClient.connect(proxy.port);
      assertProblem(await ask(client, request), status);
      client.close();
      await proxy.idle();
    }
  });

  Deno.test(name("a HEAD gets the same head and no body"), async () => {
    await using proxy = await startProxy(engine, { backends: [] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      const response = await ask(client, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
      assertEquals([response.status, headerOf(response, "content-type")], [503, "application/problem+json"]);
    }
    client.close();
    await proxy.idle();
  });

  Deno.test(name("with no backend eligible 503 with Retry-After, and none is asked"), async () => {
    await using backend = new RecordingBackend();
    for (const backends of [[], [{ url: backend.url, weight: 0 }]]) {
      await using proxy = await startProxy(engine, { backends });
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, post("/", "body"));
      assertProblem(response, 503);
      assertMatch(headerOf(response, "retry-after") ?? "", /^[1-9]\d*$/);
      client.close();
      await proxy.idle();
      assertEquals(proxy.roundhouse.memory.requestTotals().failed, 1);
    }
    assertEquals(backend.requests, []);
  });

  Deno.test(name("Retry-After is the time to the next health check"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      health: { type: "tcp", interval: "20s", jitter: 0 },
    });
    await waitFor(() => proxy.backend(backend.url).lastCheck !== null, { what: "the first check" });
    proxy.pool.update(proxy.backend(backend.url), { state: "disabled" }, "operator"); // checks go on
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/"));
    assertProblem(response, 503);
    const seconds = Number(headerOf(response, "retry-after"));
    assert(Number.isInteger(seconds) && seconds > 10 && seconds <= 20, `${seconds}`);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("when no connection can be made anywhere 502, then 503 once all are marked down"), async () => {
    await using alive = new RecordingBackend();
    // Checks go to a port that answers, and would have to pass very often.
    const port = Number(new URL(alive.url).port);
    await using proxy = await startProxy(engine, {
      backends: [refusedUrl(), refusedUrl()],
      health: { type: "tcp", port, healthyThreshold: 1000 },
      queue: { size: 0 },
    });
    using client = await RawClient.connect(proxy.port);
    assertProblem(await ask(client, post("/", "body")), 502);
    assertEquals(proxy.backends.map(({ alive, totalFailures }) => [alive, totalFailures]), [[false, 1], [false, 1]]);
    const later = await ask(client, get("/"));
    assertProblem(later, 503);
    assertGreaterOrEqual(Number(headerOf(later, "retry-after")), 1);
    client.close();
    await proxy.idle();
  });

  Deno.test(
    name("past maxConnections requests wait; a full queue and too long a wait are 503, Retry-After: 1"),
    async () => {
      const { backend, open } = gated();
      await using _backend = backend;
      await using proxy = await startProxy(engine, {
        backends: [{ url: backend.url, maxConnections: 1 }],
        queue: { size: 1, timeout: 1000 },
      });
      using first = await RawClient.connect(proxy.port);
      using second = await RawClient.connect(proxy.port);
      using third = await RawClient.connect(proxy.port);
      await first.send(post("/first", "body"));
      await waitFor(() => backend.requests.length === 1, { what: "the first request" });
      await second.send(post("/second", "body"));
      await waitFor(() => queued(proxy) === 1, { what: "the second request to be queued" });
      for (const refused of [await ask(third, post("/third", "body")), await answered(second.response())]) {
        assertProblem(refused, 503);
        assertEquals(headerOf(refused, "retry-after"), "1");
      }
      await third.send(post("/patient", "body"));
      await waitFor(() => queued(proxy) === 1, { what: "another request to be queued" });
      open();
      assertEquals(textOf(await answered(first.response())), "POST /first 4");
      assertEquals(textOf(await answered(third.response())), "POST /patient 4");
      for (const client of [first, second, third]) client.close();
      await proxy.idle();
      assertEquals(backend.requests.map(({ target }) => target), ["/first", "/patient"]);
    },
  );
}

/** What is tried again, where, how often; and that nothing happens twice that must not. */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, post, postChunked, startProxy, within } from "./engine_under_test.ts";

/** A backend that answers everything with this status, and its name as the body. */
function answering(status: number, name: string): RecordingBackend {
  return new RecordingBackend(({ method }) =>
    `HTTP/1.1 ${status} X\r\nX-Name: ${name}\r\nContent-Length: ${name.length}\r\n\r\n${method === "HEAD" ? "" : name}`
  );
}

/** A backend that reads a request's head and then resets the connection: a byte of the request stays unread. */
function resetting(): RawBackend {
  return new RawBackend(async (connection) => {
    await connection.read(8);
  });
}

/** A backend that reads a whole request and then closes without an answer. */
function dropping(): RecordingBackend {
  return new RecordingBackend(() => undefined);
}

const CHANGING: readonly (readonly [string, string])[] = [
  ["POST", post("/", "once")],
  ["POST in chunks", postChunked("/", ["on", "ce"])],
  ["POST without a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
  ["PATCH", post("/", "once").replace("POST", "PATCH")],
  ["PUT with a body", post("/", "once").replace("POST", "PUT")],
  ["DELETE with a body", post("/", "once").replace("POST", "DELETE")],
  ["an unknown method", "PURGE / HTTP/1.1\r\nHost: x\r\n\r\n"],
];

const REPEATABLE = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

export function testRetries(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: retries: ${what}`;

  Deno.test(name("a repeatable request goes elsewhere after a reset before any byte of the answer"), async () => {
    for (const failing of [resetting(), dropping()]) {
      await using _failing = failing;
      await using live = new RecordingBackend();
      await using proxy = await startProxy(engine, { backends: [failing.url, live.url] });
      using client = await RawClient.connect(proxy.port);
      for (const method of REPEATABLE) {
        for (let turn = 0; turn < 2; turn++) {
          assertEquals((await ask(client, `${method} /r HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 200, method);
        }
      }
      assertEquals(live.requests.length, REPEATABLE.length * 2);
      assertEquals(proxy.backend(failing.url).totalFailures, proxy.backend(failing.url).totalRequests);
      assertEquals(
        proxy.roundhouse.memory.requestTotals().retried,
        proxy.backend(failing.url).totalFailures,
      );
      client.close();
      await proxy.idle();
    }
  });

  Deno.test(name("a request that changes something is sent once, whatever becomes of it"), async () => {
    await using failing = dropping();
    await using other = dropping();
    await using proxy = await startProxy(engine, { backends: [failing.url, other.url], retries: { attempts: 5 } });
    const seen = () => failing.requests.length + other.requests.length;
    for (const [what, request] of CHANGING) {
      const before = seen();
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, request)).status, 502, what);
      assertEquals(seen() - before, 1, what);
    }
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.requestTotals().retried, 0);
  });

  Deno.test(name("a request that changes something is sent once over a kept connection that has died"), async () => {
    // The connection dies with the request on it: nobody knows whether it was done.
    for (const [what, request] of CHANGING) {
      await using backend = new RecordingBackend((seen) => seen.target === "/warm" ? echoOf(seen) : undefined);
      await using proxy = await startProxy(engine, { backends: [backend.url], retries: { attempts: 5 } });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, get("/warm"))).status, 200);
      assertEquals((await ask(client, request)).status, 502, what);
      assertEquals(backend.requests.filter(({ target }) => target !== "/warm").length, 1, what);
      client.close();
      await proxy.idle();
    }
  });

  Deno.test(name("of any method, what could not be sent goes elsewhere, body and all"), async () => {
    await using live = new RecordingBackend();
    const dead = [refusedUrl(), refusedUrl()];
    await using proxy = await startProxy(engine, {
      backends: [...dead, live.url],
      passive: { connectFailures: 0 },
      retries: { budget: 1 },
    });
    using client = await RawClient.connect(proxy.port);
    for (const [what, request] of CHANGING) {
      assertEquals((await ask(client, request)).status, 200, what);
      const body = request.includes("ce\r\n") || request.includes("once") ? "once" : "";
      assertEquals(new TextDecoder().decode(live.last.body), body, what);
    }
    assertEquals(live.requests.length, CHANGING.length);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a status of retries.statuses sends a repeatable request elsewhere, no other"), async () => {
    await using busy = answering(503, "busy");
    await using fine = answering(200, "fine");
    await using proxy = await startProxy(engine, { backends: [busy.url, fine.url], retries: { statuses: [503] } });
    using client = await RawClient.connect(proxy.port);
    for (const method of REPEATABLE) {
      for (let turn = 0; turn < 2; turn++) {
        assertEquals((await ask(client, `${method} / HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 200, method);
      }
    }
    const before = [busy.requests.length, fine.requests.length];
    const statuses: number[] = [];
    for (const [, request] of CHANGING) {
      statuses.push((await ask(client, request)).status, (await ask(client, request)).status);
    }
    assertEquals(statuses.filter((status) => status === 503).length, CHANGING.length);
    assertEquals([busy.requests.length, fine.requests.length].map((count, at) => count - (before[at] ?? 0)), [
      CHANGING.length,
      CHANGING.length,
    ]);
    client.close();
    await proxy.idle();
    // An answer is no failure of the connection.
    assertEquals(proxy.backend(busy.url).totalFailures, 0);
  });

  Deno.test(name("when every one answers such a status the last answer is passed on, none tried twice"), async () => {
    await using one = answering(503, "one");
    await using two = answering(503, "two");
    await using three = answering(503, "three");
    const backends = [one, two, three];
    await using proxy = await startProxy(engine, {
      backends: backends.map(({ url }) => url),
      retries: { statuses: [503], attempts: 10 },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/"));
    assertEquals([response.status, headerOf(response, "x-name"), textOf(response)], [503, "three", "three"]);
    assertEquals(backends.map(({ requests }) => requests.length), [1, 1, 1]);
    client.close();
    await proxy.idle();
    const { total, active, failed, retried } = proxy.roundhouse.memory.requestTotals();
    assertEquals({ total, active, failed, retried }, { total: 1, active: 0, failed: 0, retried: 2 });
  });

  Deno.test(name("retries.attempts is how many more are tried, 0 none"), async () => {
    for (const attempts of [0, 1, 2]) {
      const backends = [1, 2, 3, 4].map(() => dropping());
      await using proxy = await startProxy(engine, { backends: backends.map(({ url }) => url), retries: { attempts } });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, get("/"))).status, 502);
      const seen = backends.map(({ requests }) => requests.length);
      assertEquals(seen.reduce((sum, count) => sum + count, 0), attempts + 1);
      assert(seen.every((count) => count <= 1), "the same backend twice");
      client.close();
      await proxy.idle();
      for (const backend of backends) await backend[Symbol.asyncDispose]();
    }
  });

  Deno.test(name("the budget ends a storm: retries stay below its share plus 10"), async () => {
    await using one = dropping();
    await using two = dropping();
    await using proxy = await startProxy(engine, { backends: [one.url, two.url], retries: { budget: 0.1 } });
    using client = await RawClient.connect(proxy.port);
    const total = 60;
    for (let request = 0; request < total; request++) assertEquals((await ask(client, get("/"))).status, 502);
    const { retried } = proxy.roundhouse.memory.requestTotals();
    assertEquals(one.requests.length + two.requests.length, total + retried);
    assertLessOrEqual(retried, total * 0.1 + 10);
    assert(retried >= 10, `${retried} retries`);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("once a byte of the answer has come nothing is tried again"), async () => {
    await using half = new RecordingBackend(async (_, connection) => {
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      return undefined;
    });
    await using spare = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [half.url, spare.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/"));
    const response = await within(client.response(), "the cut");
    assert(response === undefined || response.status === 502 || !response.complete);
    assertEquals(spare.requests.length, 0);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("half a status line is no answer"), async () => {
    await using partial = new RecordingBackend(async (_, connection) => {
      await connection.send("HTTP/1.1 20");
      return undefined;
    });
    await using spare = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [partial.url, spare.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/"));
    // To a foreign parser this is a connection lost before any answer.
    if (!engine.deviations.hasForeignParser) assertEquals([response.status, spare.requests.length], [502, 0]);
    else assertEquals(response.status, spare.requests.length === 0 ? 502 : 200);
    const next = spare.requests.length === 0 ? 200 : 502; // whose turn it is then
    assertEquals((await ask(client, post("/", "x"))).status, next);
    client.close();
    await proxy.idle();
  });
}

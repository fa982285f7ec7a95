// What happens when a backend or a client fails, and that the two are kept apart.

import { assert, assertEquals, assertGreaterOrEqual, assertNotMatch } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/** Accepts and reads, and never answers. */
function silentBackend(): RawBackend {
  return new RawBackend((connection) => connection.toEnd());
}

/** Breaks off after reading a request. */
function droppingBackend(): RawBackend {
  return new RawBackend(async (connection) => {
    await connection.head();
  });
}

async function problemOf(response: Response) {
  assertEquals(response.headers.get("content-type"), "application/problem+json");
  const problem = await response.json();
  assertEquals(problem.status, response.status);
  assertEquals(problem.requestId, response.headers.get("x-request-id"));
  assertNotMatch(JSON.stringify(problem), /127\.0\.0\.1|localhost/);
  return problem;
}

Deno.test("a refused connection marks the backend down, and another one answers", async () => {
  await using live = HttpBackend.named("live");
  const dead = refusedUrl();
  await using proxy = await TestProxy.start({ backends: [dead, live.url] });
  for (let request = 0; request < 6; request++) assertEquals(await (await fetch(proxy.url)).text(), "live");
  assertEquals(proxy.backend(dead).alive, false);
  // Marked down at the first failure, it is not tried again.
  assertEquals([proxy.backend(dead).totalRequests, proxy.backend(dead).totalFailures], [1, 1]);
  assertEquals(proxy.log.of("backend down").length, 1);
  assertEquals(proxy.roundhouse.pool.shared.requestTotals(), { total: 6, active: 0, failed: 0, retried: 1, queued: 0 });
});

Deno.test("when no connection can be made anywhere the client gets 502, later ones 503 with Retry-After", async () => {
  await using proxy = await TestProxy.start({ backends: [refusedUrl(), refusedUrl()] });
  const first = await fetch(proxy.url);
  assertEquals(first.status, 502);
  await problemOf(first);
  const second = await fetch(proxy.url);
  assertEquals(second.status, 503);
  assertGreaterOrEqual(Number(second.headers.get("retry-after")), 1);
  await problemOf(second);
});

Deno.test("no backend at all is 503", async () => {
  await using proxy = await TestProxy.start({});
  const response = await fetch(proxy.url);
  assertEquals([response.status, response.headers.get("retry-after")], [503, "1"]);
  await problemOf(response);
});

Deno.test("a backend that breaks off before it answers: GET goes elsewhere, POST is 502 and sent once", async () => {
  await using dropping = droppingBackend();
  await using live = HttpBackend.named("live");
  await using proxy = await TestProxy.start({ backends: [dropping.url, live.url] });
  assertEquals(await (await fetch(proxy.url)).text(), "live"); // turn of the dropping one, then elsewhere
  for (let round = 0; round < 2; round++) {
    const before = dropping.connections.length;
    const statuses: number[] = [];
    for (let request = 0; request < 2; request++) {
      const response = await fetch(proxy.url, { method: "POST", body: "once" });
      statuses.push(response.status);
      if (response.status === 502) await problemOf(response);
      else await response.body?.cancel();
    }
    assertEquals(statuses.sort(), [200, 502]);
    assertEquals(dropping.connections.length, before + 1);
  }
  assertEquals(proxy.backend(dropping.url).alive, true); // it does accept connections
  await proxy.idle();
});

Deno.test("a backend that never answers is 504 after timeouts.response, for a POST without a retry", async () => {
  await using silent = silentBackend();
  await using proxy = await TestProxy.start({ backends: [silent.url], timeouts: { response: 60 } });
  for (const method of ["GET", "POST"]) {
    const response = await fetch(proxy.url, { method, body: method === "POST" ? "x" : null });
    assertEquals(response.status, 504);
    await problemOf(response);
  }
  await proxy.idle();
});

Deno.test("a GET that times out at one backend is answered by another", async () => {
  await using silent = silentBackend();
  await using live = HttpBackend.named("live");
  await using proxy = await TestProxy.start({ backends: [silent.url, live.url], timeouts: { response: 60 } });
  for (let request = 0; request < 4; request++) assertEquals(await (await fetch(proxy.url)).text(), "live");
  await proxy.idle();
});

Deno.test("the response timeout starts at the last byte of the request: a slow upload is not cut", async () => {
  await using backend = new HttpBackend(async (request) => new Response(await request.text()));
  await using proxy = await TestProxy.start({ backends: [backend.url], timeouts: { response: 150 } });
  using client = await RawClient.connect(proxy.port);
  await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n");
  for (const part of ["aa", "bb", "cc", "dd"]) {
    await new Promise((resolve) => setTimeout(resolve, 80)); // together longer than the limit
    await client.send(part);
  }
  const response = await client.response();
  assertEquals(response && [response.status, textOf(response)], [200, "aabbccdd"]);
});

Deno.test("an answer that takes longer than timeouts.response as a whole is not cut once its head has come", async () => {
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    for (const byte of "slow") {
      await new Promise((resolve) => setTimeout(resolve, 60));
      await connection.send(byte);
    }
  });
  await using proxy = await TestProxy.start({ backends: [backend.url], timeouts: { response: 100 } });
  assertEquals(await (await fetch(proxy.url)).text(), "slow");
});

Deno.test("malformed answers are 502, a failure of the backend, and not tried elsewhere", async () => {
  const malformed = [
    "nonsense\r\n\r\n",
    "HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 700 Beyond\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\u0000b\r\n\r\n",
  ];
  for (const answer of malformed) {
    await using backend = RawBackend.answering(answer);
    await using spare = HttpBackend.named("spare");
    await using proxy = await TestProxy.start({ backends: [backend.url, spare.url] });
    const response = await fetch(proxy.url);
    assertEquals([response.status, spare.requests], [502, 0], answer);
    await problemOf(response);
    assertEquals(proxy.backend(backend.url).totalFailures, 1, answer);
    assertEquals(proxy.log.of("attempt failed")[0]?.fields["code"], "malformed_response", answer);
    await proxy.idle();
  }
});

Deno.test("a response body that breaks off is cut at the client, so that it sees the loss", async () => {
  const answers = [
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
  ];
  for (const answer of answers) {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send(answer);
    });
    await using proxy = await TestProxy.start({ backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await client.request(GET);
    assert(response === undefined || !response.complete, answer);
    await proxy.idle();
  }
});

Deno.test("a client that leaves cancels the request at the backend and marks nothing down", async () => {
  await using silent = silentBackend();
  await using proxy = await TestProxy.start({ backends: [silent.url] });
  const requests = [
    GET,
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly a part",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
  ];
  for (const request of requests) {
    const before = silent.connections.length;
    using client = await RawClient.connect(proxy.port);
    await client.send(request);
    await waitFor(() => silent.connections[before]?.received.includes("\r\n\r\n") === true, {
      what: "the request to reach the backend",
    });
    client.close();
    await proxy.idle();
  }
  const backend = proxy.backend(silent.url);
  assertEquals([backend.alive, backend.totalFailures], [true, 0]);
  assertEquals(proxy.log.of("attempt failed"), []);
  assertEquals(proxy.roundhouse.pool.shared.requestTotals().failed, 0);
});

Deno.test("a client that leaves in the middle of a response cancels it at the backend", async () => {
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    const block = new Uint8Array(65536);
    while (true) await connection.send(block); // until the other side closes
  });
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(GET);
  await client.chunk();
  assertEquals(proxy.backend(backend.url).currentConnections, 1);
  client.close();
  await proxy.idle();
  assertEquals(proxy.backend(backend.url).alive, true);
});

Deno.test("requests that are refused before any backend is chosen leave the connection usable", async () => {
  await using backend = HttpBackend.named("ok");
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const refused: [string, number][] = [
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost:\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
    ["CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405],
    ["TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    ["GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 501],
  ];
  for (const [request, status] of refused) {
    using client = await RawClient.connect(proxy.port);
    const response = await client.request(request);
    assertEquals(response?.status, status, request);
    assert(response !== undefined);
    assertEquals(JSON.parse(textOf(response)).status, status);
    if (status === 405) assertEquals(headerOf(response, "allow")?.includes("GET"), true);
    const next = await client.request(GET);
    if (next !== undefined) assertEquals(textOf(next), "ok", request);
  }
  assertEquals(proxy.roundhouse.pool.shared.requestTotals().failed, 1); // the 501
});

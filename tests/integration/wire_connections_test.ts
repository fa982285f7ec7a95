// Engine wire's connections to backends: which one is reused, and that none is whose state is in doubt.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, post, probe, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend, type RawConnection } from "../support/raw_backend.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

/** With one worker: each keeps connections of its own, so that which one is reused depends on whom a client meets. */
function startWire(settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", proxy: { workers: 1 }, ...settings });
}

Deno.test("wire reuses the backend connection that was in use last", async () => {
  const gates = new Map<string, PromiseWithResolvers<void>>();
  await using backend = new RecordingBackend(async ({ target }) => {
    await gates.get(target)?.promise;
    return ok(target);
  });
  await using proxy = await startWire({ backends: [backend.url] });
  const clients = await Promise.all([0, 1, 2].map(() => RawClient.connect(proxy.port)));
  const answers = clients.map((client, index) => {
    gates.set(`/${index}`, Promise.withResolvers());
    return ask(client, get(`/${index}`));
  });
  await waitFor(() => backend.requests.length === 3, { what: "three requests at once" });
  assertEquals(backend.connections, 3);
  const connectionOf = (target: string) =>
    backend.requests.findLast((request) => request.target === target)?.connection;
  for (const index of [1, 0, 2]) {
    gates.get(`/${index}`)?.resolve();
    await answers[index];
    await waitFor(() => proxy.backend(backend.url).currentConnections === [2, 1, 0][[1, 0, 2].indexOf(index)], {
      what: "the connection to be given back",
    });
  }
  for (let request = 0; request < 3; request++) {
    assertEquals(textOf(await ask(clients[0] as RawClient, get(`/again/${request}`))), `/again/${request}`);
    assertEquals(connectionOf(`/again/${request}`), connectionOf("/2"));
  }
  assertEquals(backend.connections, 3);
  for (const client of clients) client.close();
  await proxy.idle();
});

Deno.test("wire opens another connection where the state of the last one is in doubt, and reuses it where it is proven", async () => {
  const answers: Record<string, readonly [answer: string, reused: boolean]> = {
    "/length": [ok("whole"), true],
    "/chunks": ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", true],
    "/204": ["HTTP/1.1 204 No Content\r\n\r\n", true],
    "/304": ["HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", true],
    "/kept-1.0": ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nwhole", true],
    "/1.0": ["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwhole", false],
    "/close": [ok("whole", "Connection: close\r\n"), false],
    "/close-listed": [ok("whole", "Connection: foo, Close\r\n"), false],
    "/surplus": [`${ok("whole")}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`, false],
    "/surplus-204": ["HTTP/1.1 204 No Content\r\n\r\npoison", false],
    "/surplus-chunks": ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", false],
  };
  for (const [target, [answer, reused]] of Object.entries(answers)) {
    await using backend = new RecordingBackend((request) =>
      request.target === target ? answer : ok(`${request.method} ${request.target} ${request.bodyBytes}`)
    );
    await using proxy = await startWire({ backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    assert((await ask(client, get(target))).status < 400, target);
    await proxy.idle();
    assertEquals(await probe(client, target), "served");
    assertEquals(backend.connections, reused ? 1 : 2, target);
    client.close();
    await proxy.idle();
  }
});

Deno.test("wire never reuses a connection over which a request's body went only in part", async () => {
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      await connection.send(connection.received.startsWith("POST") ? ok("early") : ok("next"));
    }
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send("POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
  const early = await within(client.response(), "the early answer");
  assertEquals(early && textOf(early), "early");
  await within(client.rest(), "the end: the rest of the body would be the next request");
  await proxy.idle();
  using other = await RawClient.connect(proxy.port);
  assertEquals(textOf(await ask(other, get("/"))), "next");
  assertEquals(backend.connections.length, 2);
  other.close();
  await proxy.idle();
});

Deno.test("wire notices when an idle connection ends or speaks, and asks over another", async () => {
  const posts: string[] = [];
  let noticed = 0;
  let last: RawConnection | undefined;
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      posts.push(connection.received.slice(0, connection.received.indexOf(" HTTP")));
      last = connection;
      await connection.send(ok("served"));
    }
    noticed++; // the proxy has closed its side
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  for (const [round, does] of ["ends", "speaks", "ends", "speaks"].entries()) {
    assertEquals(textOf(await ask(client, get("/before"))), "served");
    await proxy.idle();
    if (does === "ends") await last?.end();
    else await last?.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 6\r\n\r\npoison");
    await waitFor(() => noticed === round + 1, { what: "the proxy to let go of the connection" });
    // A request that must not be sent twice goes over another connection at once.
    const response = await ask(client, "POST /after HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assertEquals([response.status, textOf(response), backend.connections.length], [200, "served", round + 2]);
    await proxy.idle();
  }
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
  assertEquals(posts.filter((line) => line === "POST /after").length, 4);
  client.close();
  await proxy.idle();
});

/** Answers the first request of each connection, and ends the connection when the second has come. */
function mortal(): { backend: RawBackend; seen: string[] } {
  const seen: string[] = [];
  const backend = new RawBackend(async (connection) => {
    for (let request = 0; await connection.head(); request++) {
      seen.push(connection.received.slice(0, connection.received.indexOf(" HTTP")));
      if (request > 0) return;
      await connection.send(ok("first"));
    }
  });
  return { backend, seen };
}

Deno.test("a reused connection that dies without a byte: safe ones go over a fresh one once, which is no failure", async () => {
  const { backend, seen } = mortal();
  await using _ = backend;
  await using proxy = await startWire({ backends: [backend.url], retries: { attempts: 0 } });
  using client = await RawClient.connect(proxy.port);
  for (const method of ["GET", "OPTIONS"]) {
    for (let round = 0; round < 2; round++) {
      const response = await ask(client, `${method} /${round} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assertEquals([response.status, textOf(response)], [200, "first"], method);
    }
  }
  assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
  assertEquals(proxy.log.of("attempt failed"), []);
  assertEquals(seen.filter((line) => line === "GET /1").length, 2);
  client.close();
  await proxy.idle();
});

Deno.test("a reused connection that dies: what must not be sent twice is not, and a dead fresh one is a failure", async () => {
  const { backend, seen } = mortal();
  await using _ = backend;
  await using proxy = await startWire({
    backends: [backend.url],
    retries: { attempts: 0 },
    passive: { connectFailures: 0 },
  });
  for (
    const [index, request] of [
      post("/x", "body"),
      post("/x", ""),
      // Such as these two were sent again at once, whatever `retries` said: a DELETE came twice to the same backend.
      "DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n",
      "PUT /x HTTP/1.1\r\nHost: x\r\n\r\n",
      "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\ny",
    ].entries()
  ) {
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/first"))).status, 200);
    assertEquals((await ask(client, request)).status, 502);
    assertEquals(seen.filter((line) => !line.startsWith("GET")).length, index + 1);
    client.close();
    await proxy.idle();
  }
  await using dead = new RawBackend(async (connection) => void await connection.head());
  await using other = await startWire({ backends: [dead.url], retries: { attempts: 0 } });
  using client = await RawClient.connect(other.port);
  assertEquals((await ask(client, get("/"))).status, 502);
  assertEquals([dead.connections.length, other.backend(dead.url).totalFailures], [1, 1]);
  client.close();
  await other.idle();
});

Deno.test("a stale connection is replaced by a fresh one, not by the next stale one", async () => {
  // As after a backend's restart: all its idle connections are dead at once.
  let release = Promise.withResolvers<void>();
  const connections: RawConnection[] = [];
  let mute = false;
  await using backend = new RawBackend(async (connection) => {
    connections.push(connection);
    const old = connections.length <= 5;
    while (await connection.head()) {
      if (mute && old) return; // dies when asked
      await release.promise;
      await connection.send(ok("served"));
    }
  });
  using _ = { [Symbol.dispose]: () => release.resolve() };
  await using proxy = await startWire({ backends: [backend.url], retries: { attempts: 0 } });
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.connect(proxy.port)));
  const answers = clients.map((client) => ask(client, get("/")));
  await waitFor(() => connections.length === 5 && connections.every(({ received }) => received !== ""), {
    what: "five at once",
  });
  release.resolve();
  await Promise.all(answers);
  await proxy.idle();
  mute = true;
  release = Promise.withResolvers();
  release.resolve();
  for (const client of clients) assertEquals(textOf(await ask(client, get("/"))), "served");
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
  assertEquals(connections.length, 6);
  for (const client of clients) client.close();
  await proxy.idle();
});

Deno.test("a backend that is removed loses its idle connections at once, busy ones with their request", async () => {
  const release = Promise.withResolvers<void>();
  let ended = 0;
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      if (connection.received.includes("/held")) await release.promise;
      await connection.send(ok("done"));
    }
    ended++;
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using _ = { [Symbol.dispose]: release.resolve };
  using one = await RawClient.connect(proxy.port);
  using two = await RawClient.connect(proxy.port);
  const held = ask(one, get("/held"));
  await waitFor(() => backend.connections.length === 1, { what: "the held request" });
  assertEquals(textOf(await ask(two, get("/"))), "done");
  assertEquals(backend.connections.length, 2);
  const removed = await fetch(`${proxy.adminUrl}/backends?url=${encodeURIComponent(backend.url)}`, {
    method: "DELETE",
  });
  assertEquals((await removed.json()).url, backend.url);
  await waitFor(() => ended === 1, { what: "the idle connection to end" });
  release.resolve();
  assertEquals(textOf(await held), "done");
  await waitFor(() => ended === 2, { what: "the other connection to end" });
});

Deno.test("a 1xx of one backend says nothing of the next, whose connection dies before a byte", async () => {
  // The second was blamed for "nothing behind a 1xx", and its fresh connection not tried.
  await using hinting = RawBackend.answering(
    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
  );
  await using other = new RawBackend(async (connection, index) => {
    await connection.head();
    await connection.send(ok(`over ${index}`));
    await connection.head(); // and closes
  });
  await using proxy = await startWire({
    backends: [{ url: hinting.url, weight: 100 }, other.url],
    retries: { statuses: [503] },
  });
  using client = await RawClient.connect(proxy.port);
  for (const answer of ["over 0", "over 1"]) {
    await client.send(get("/"));
    let response = await within(client.response(), answer);
    while (response?.status === 103) response = await within(client.response(), answer);
    assertEquals([response?.status, response && textOf(response)], [200, answer]);
    await proxy.idle();
  }
  assertEquals(proxy.backend(other.url).totalFailures, 0);
});

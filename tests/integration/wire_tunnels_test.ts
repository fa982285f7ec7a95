// Tunnels of engine wire: whatever both sides agree to switch to, byte for byte, until both have ended.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend, type RawConnection } from "../support/raw_backend.ts";
import { concat, headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { acceptWebSocket, closeFrame, frame, webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";

const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: own/1\r\nConnection: upgrade\r\n\r\n";
const ASKING = "GET /own HTTP/1.1\r\nHost: x\r\nUpgrade: own/1\r\nConnection: Upgrade\r\n\r\n";

/** A proxy before a backend that switches to a protocol of its own, then runs a script. */
async function tunnelling(script: (connection: RawConnection) => Promise<void>, settings: ConfigFile = {}) {
  const backend = new RawBackend(async (connection) => {
    if (!await connection.head()) return;
    await connection.send(SWITCHED);
    await script(connection);
  });
  const proxy = await TestProxy.start({ engine: "wire", backends: [backend.url], ...settings });
  const client = await RawClient.connect(proxy.port);
  return {
    backend,
    proxy,
    client,
    lease: proxy.backend(backend.url),
    async [Symbol.asyncDispose]() {
      client.close();
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

async function exactly(read: () => Promise<Uint8Array | undefined>, count: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let got = 0; got < count;) {
    const part = await within(read(), "more bytes");
    if (part === undefined || part.length === 0) break;
    parts.push(part);
    got += part.length;
  }
  return concat(parts);
}

Deno.test("any protocol is tunnelled: megabytes cross both ways at once unchanged, counted as a current connection", async () => {
  const up = randomBytes(3_000_000);
  const down = randomBytes(3_000_000);
  const received = Promise.withResolvers<Uint8Array>();
  await using world = await tunnelling(async (connection) => {
    const [bytes] = await Promise.all([exactly(() => connection.read(), up.length), connection.send(down)]);
    received.resolve(bytes);
    await connection.read(); // until the client has ended
  });
  const { client, lease, proxy } = world;
  const response = await ask(client, ASKING);
  assertEquals([response.status, headerOf(response, "upgrade")], [101, "own/1"]);
  assertEquals(lease.currentConnections, 1);
  const [bytes] = await Promise.all([exactly(() => client.chunk(), down.length), client.send(up)]);
  assertEquals(bytes, down);
  assertEquals(await received.promise, up);
  assertEquals(lease.currentConnections, 1);
  client.close();
  await proxy.idle();
  assertEquals(lease.totalFailures, 0);
});

Deno.test("bytes on the heels of the request, before the backend has switched, arrive whole and in order", async () => {
  // More than the proxy's buffer holds, while it still waits for the backend's answer.
  const early = randomBytes(50_000);
  const received = Promise.withResolvers<Uint8Array>();
  const go = Promise.withResolvers<void>();
  await using backend = new RawBackend(async (connection) => {
    if (!await connection.head()) return;
    await go.promise;
    await connection.send(SWITCHED);
    received.resolve(await exactly(() => connection.read(), early.length));
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(ASKING);
  for (let at = 0; at < early.length; at += 1234) await client.send(early.slice(at, at + 1234));
  go.resolve();
  assertEquals((await within(client.response(), "101"))?.status, 101);
  assertEquals(await within(received.promise, "all of it"), early);
  await within(client.rest(), "the end");
  client.close();
  await proxy.idle();
});

Deno.test("a client that has no more to say still hears all that the backend has", async () => {
  const answer = randomBytes(500_000);
  await using world = await tunnelling(async (connection) => {
    while (await connection.read() !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await connection.send(answer); // long after the client's end
    await connection.end();
  });
  const { client, lease, proxy } = world;
  assertEquals((await ask(client, ASKING)).status, 101);
  await client.send("one word");
  await client.connection.closeWrite();
  await waitFor(() => lease.currentConnections === 1, { what: "the tunnel" });
  assertEquals(await within(client.rest(), "the answer"), answer);
  await proxy.idle();
});

Deno.test("a backend that has no more to say still hears all that the client has", async () => {
  const received = Promise.withResolvers<Uint8Array>();
  await using world = await tunnelling(async (connection) => {
    await connection.send("bye");
    await connection.end();
    received.resolve(await exactly(() => connection.read(), 500_000));
  });
  const { client, lease, proxy } = world;
  assertEquals((await ask(client, ASKING)).status, 101);
  assertEquals(new TextDecoder().decode(await within(client.rest(), "the backend's end")), "bye");
  assertEquals(lease.currentConnections, 1);
  const late = randomBytes(500_000);
  await client.send(late);
  await client.connection.closeWrite();
  assertEquals(await within(received.promise, "the rest"), late);
  await proxy.idle();
});

Deno.test("a tunnel ends on both sides when either side breaks off, and that is nobody's failure", async () => {
  let ended = 0;
  await using world = await tunnelling(async (connection) => {
    await connection.toEnd();
    ended++;
  });
  assertEquals((await ask(world.client, ASKING)).status, 101);
  await world.client.send("unread");
  world.client.close();
  await world.proxy.idle();
  await waitFor(() => ended === 1, { what: "the backend's side to end" });

  // A backend that is gone looks like one that only listens until somebody speaks to it.
  await using other = await tunnelling(async (connection) => void await connection.read(1));
  assertEquals((await ask(other.client, ASKING)).status, 101);
  await other.client.send("more than one byte");
  await within(other.client.rest(), "the client's side to end");
  await waitFor(async () => {
    await other.client.send("x").catch(() => {}); // cut
    return other.lease.currentConnections === 0;
  }, { what: "the tunnel to end" });
  for (const { lease, proxy } of [world, other]) {
    assertEquals([lease.totalFailures, lease.alive, proxy.log.of("response cut").length], [0, true, 0]);
  }
});

Deno.test("a side that reads nothing stops the other one", async () => {
  let sent = 0;
  await using world = await tunnelling(async (connection) => {
    const block = new Uint8Array(1024 * 1024);
    while (true) {
      await connection.send(block);
      sent++;
    }
  });
  assertEquals((await ask(world.client, ASKING)).status, 101);
  let last = -1;
  await waitFor(async () => {
    if (sent === last) return sent > 0;
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return false;
  }, { what: "the backend to wait", timeoutMs: 30_000 });
  assert(sent < 64, `${sent} MiB were taken`);
  world.client.close();
  await world.proxy.idle();
});

Deno.test("tunnels know no timeouts: neither idle, nor request, nor keepAlive", async () => {
  const settings = { timeouts: { idle: 50, request: 50, response: 50, header: 50, keepAlive: 50 } } as const;
  await using world = await tunnelling(async (connection) => {
    await connection.read();
    await connection.send("still here");
    await connection.read();
  }, settings);
  assertEquals((await ask(world.client, ASKING)).status, 101);
  await new Promise((resolve) => setTimeout(resolve, 300)); // well past all of them
  await world.client.send("and you?");
  assertEquals(new TextDecoder().decode(await within(world.client.chunk(), "an answer")), "still here");
});

Deno.test("what is refused is answered over a connection that serves on; h2c and bodies are never switched", async () => {
  await using backend = new RawBackend(async (connection) => {
    while (await connection.head()) {
      if (connection.received.includes("own/1")) {
        await connection.send("HTTP/1.1 426 No\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno");
      } else await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
      connection.received = connection.received.replace("own/1", "");
    }
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const refused = await ask(client, ASKING);
  assertEquals([refused.status, textOf(refused)], [426, "no"]);
  for (
    const lines of [
      "Upgrade: h2c\r\nConnection: Upgrade\r\n",
      "Upgrade: own/2, H2C\r\nConnection: upgrade\r\n",
      "Upgrade: own/2\r\n",
    ]
  ) {
    assertEquals(textOf(await ask(client, get("/", lines))), "plain");
    assert(!/^upgrade:/im.test(backend.connections.at(-1)?.received ?? ""), lines);
  }
  const posted = `POST / HTTP/1.1\r\nHost: x\r\nUpgrade: own/2\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n`;
  assertEquals(textOf(await ask(client, posted)), "plain");
  client.close();
  await proxy.idle();
});

Deno.test("a WebSocket's pings, extensions, reserved bits and any close code are the peers' own", async () => {
  const odd = [
    frame(0x9, new TextEncoder().encode("ping"), false),
    frame(0xa, new Uint8Array(0), false),
    Uint8Array.of(0xc1, 0x03, 1, 2, 3), // compressed by an extension
    Uint8Array.of(0x01, 0x01, 0x61, 0x80, 0x01, 0x62), // in fragments
    Uint8Array.of(0xff, 0x00), // of no known kind
    ...[1001, 1006, 1015, 1012, 2999, 65535].map((code) => closeFrame(code, false)),
  ];
  const all = concat(odd);
  const received = Promise.withResolvers<Uint8Array>();
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await acceptWebSocket(connection, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n");
    await connection.send(all);
    received.resolve(await exactly(() => connection.read(), all.length));
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
  const response = await ask(client, webSocketHandshake("/", extensions));
  assertEquals(
    headerOf(response, "sec-websocket-extensions"),
    "permessage-deflate; server_no_context_takeover",
  );
  assert(backend.received.includes(extensions), backend.received);
  await client.send(all);
  assertEquals(await exactly(() => client.chunk(), all.length), all);
  assertEquals(await within(received.promise, "the client's frames"), all);
  await within(client.rest(), "the end");
  client.close();
  await proxy.idle();
});

Deno.test("a WebSocket whose one side has ended does not linger on the other, silent one", async () => {
  let ended = false;
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await acceptWebSocket(connection);
    await connection.send(closeFrame(1000, false));
    await connection.end();
    await connection.toEnd();
    ended = true;
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  assertEquals((await ask(client, webSocketHandshake())).status, 101);
  await proxy.idle(); // though the client says nothing more and does not leave
  await waitFor(() => ended, { what: "the backend's side to end" });
});

// Such a tunnel failed as it began: the client got a 500 in the middle of it, and the backend's connection stayed open.
Deno.test("a backend that switches when its drain has ended is not tunnelled to, and both sides are closed", async () => {
  const asked = Promise.withResolvers<void>();
  const removed = Promise.withResolvers<void>();
  let ended = false;
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    asked.resolve();
    await removed.promise;
    await connection.send(SWITCHED);
    await connection.toEnd();
    ended = true;
  });
  await using proxy = await TestProxy.start({ engine: "wire", backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(ASKING);
  await asked.promise;
  const target = `${proxy.adminUrl}/backends?url=${backend.url}&drain=0ms`;
  await (await fetch(target, { method: "DELETE" })).body?.cancel();
  removed.resolve();
  assertEquals((await within(client.response(), "the answer"))?.status, 101);
  assertEquals(new TextDecoder().decode(await within(client.rest(), "the end")), "");
  await waitFor(() => ended, { what: "the backend's side to end" });
  await proxy.idle();
  assertEquals(proxy.log.of("request failed"), []);
});

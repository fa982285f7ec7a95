/** `Upgrade`: WebSockets reach the backend and back; other protocols only where the engine can tunnel them. */

import { assert, assertEquals } from "@std/assert";
import { RawBackend, type RawConnection } from "../support/raw_backend.ts";
import { concat, headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { acceptWebSocket, closeFrame, frame, textFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { ask, type EngineUnderTest, startProxy, within } from "./engine_under_test.ts";

/** Reads exactly as many bytes as `wanted` has; fails when they differ. */
async function expectBytes(client: RawClient, wanted: Uint8Array, what: string): Promise<void> {
  let got = new Uint8Array(0);
  while (got.length < wanted.length) {
    const more = await within(client.chunk(), what);
    assert(more.length > 0, `${what}: closed`);
    got = concat([got, more]);
  }
  assertEquals(got, wanted, what);
}

/** The payload of a whole masked frame of at most 125 bytes. */
function unmasked(bytes: Uint8Array): Uint8Array {
  const mask = bytes.slice(2, 6);
  return bytes.slice(6).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
}

/** A backend that upgrades with these header lines, then runs a script. */
function upgrading(script: (connection: RawConnection) => Promise<void>, lines = ""): RawBackend {
  return new RawBackend(async (connection) => {
    await connection.head();
    await acceptWebSocket(connection, lines);
    await script(connection);
  });
}

export function testUpgrades(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: upgrades: ${what}`;
  const { deviations } = engine;

  // Under `fetch` a 101 had none of them: a client that began with a WebSocket never stuck to its backend.
  Deno.test(name("a 101 carries X-Request-Id, the session's cookie and the operator's headers"), async () => {
    // It ends with the first byte, the close of the bridge: one that only listened would be waited for.
    await using backend = upgrading(async (connection) => void await connection.read());
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      sticky: { by: "cookie" },
      headers: { response: { set: { "X-Served": "yes" }, remove: ["X-Gone"] } },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, webSocketHandshake("/", "X-Request-Id: my-id\r\n"));
    assertEquals(response.status, 101);
    assertEquals([headerOf(response, "x-request-id"), headerOf(response, "x-served")], ["my-id", "yes"]);
    assert(headerOf(response, "set-cookie")?.startsWith("roundhouse="), response.head);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a WebSocket's handshake reaches the backend, and the backend's choice the client"), async () => {
    await using backend = upgrading(async (connection) => {
      await connection.read();
      await connection.send(closeFrame(1000, false));
    }, "Sec-WebSocket-Protocol: v2\r\n");
    await using proxy = await startProxy(engine, { backends: [`${backend.url}/base`] });
    using client = await RawClient.connect(proxy.port);
    const lines =
      "Sec-WebSocket-Protocol: v1, v2\r\nCookie: a=1\r\nX-Forwarded-For: 6.6.6.6\r\nOrigin: http://shop.example\r\n" +
      "X-Hop: 1\r\nConnection: x-hop\r\n";
    const response = await ask(client, webSocketHandshake("/chat?room=1", lines));
    assertEquals([response.status, headerOf(response, "sec-websocket-protocol")], [101, "v2"]);
    assertEquals(headerOf(response, "upgrade")?.toLowerCase(), "websocket");
    assertEquals(headerOf(response, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const seen = backend.connections[0]?.received ?? "";
    assert(seen.startsWith("GET /base/chat?room=1 HTTP/1.1\r\n"), seen);
    for (
      const line of ["host: ws.example", "cookie: a=1", "x-forwarded-for: 127.0.0.1", "origin: http://shop.example"]
    ) {
      assert(seen.toLowerCase().includes(`\r\n${line}\r\n`), line);
    }
    assert(/\r\nsec-websocket-protocol: v1, ?v2\r\n/i.test(seen), seen);
    assert(!/\r\nx-hop:/i.test(seen), seen);
    await client.send(closeFrame(1000, true));
    await within(client.rest(), "the end");
    await proxy.idle();
  });

  Deno.test(name("the list of subprotocols needs no spaces"), async () => {
    // Clients that send `a,b` got a 500 under `fetch`, and each left an open WebSocket behind at a backend.
    await using backend = upgrading(async (connection) => {
      await connection.send(textFrame("welcome", false));
      await connection.read();
      await connection.send(closeFrame(1000, false));
    }, "Sec-WebSocket-Protocol: b\r\n");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, webSocketHandshake("/", "Sec-WebSocket-Protocol: a,b\r\n"));
    assertEquals([response.status, headerOf(response, "sec-websocket-protocol")], [101, "b"]);
    await expectBytes(client, textFrame("welcome", false), "the first message");
    await client.send(closeFrame(1000, true));
    await within(client.rest(), "the end");
    await proxy.idle();
  });

  Deno.test(name("without `Connection: Upgrade` it is a plain GET"), async () => {
    // Such a client got a 500 under `fetch`, after a WebSocket had been opened at a backend that nobody closed.
    await using backend = RawBackend.answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const line of ["", "Connection: keep-alive\r\n", "Connection: x-upgrade\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, webSocketHandshake().replace("Connection: Upgrade\r\n", line));
      assertEquals([response.status, textOf(response)], [200, "plain"], line);
      client.close();
    }
    assert(!/^upgrade:/im.test(backend.received), backend.received);
    await proxy.idle();
  });

  Deno.test(name("messages cross both ways, also on the heels of the handshake"), async () => {
    const received: Uint8Array[] = [];
    await using backend = upgrading(async (connection) => {
      await connection.send(concat([textFrame("early", false), textFrame("earlier", false)]));
      for (const reply of ["one", "two"]) {
        received.push(unmasked(await connection.read() ?? new Uint8Array(0)));
        await connection.send(frame(0x2, new TextEncoder().encode(reply), false));
      }
      await connection.read();
      await connection.send(closeFrame(1000, false));
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, webSocketHandshake())).status, 101);
    await expectBytes(client, concat([textFrame("early", false), textFrame("earlier", false)]), "early messages");
    for (const [message, reply] of [["ping", "one"], ["", "two"]] as const) {
      await client.send(textFrame(message, true));
      await expectBytes(client, frame(0x2, new TextEncoder().encode(reply), false), reply);
    }
    assertEquals(received.map((bytes) => new TextDecoder().decode(bytes)), ["ping", ""]);
    await client.send(closeFrame(1000, true));
    await expectBytes(client, closeFrame(1000, false), "goodbye");
    await within(client.rest(), "the end");
    await proxy.idle();
  });

  Deno.test(name("close codes 1000 and 3000-4999 cross both ways with their reasons"), async () => {
    const closing = (code: number, reason: string, masked: boolean) =>
      frame(0x8, concat([Uint8Array.of(code >> 8, code & 0xff), new TextEncoder().encode(reason)]), masked);
    for (const [code, reason] of [[1000, "done"], [3000, "first"], [4999, "last: ünïcödé"], [4000, ""]] as const) {
      for (const first of ["client", "backend"]) {
        let said: Uint8Array | undefined;
        await using backend = upgrading(async (connection) => {
          if (first === "backend") await connection.send(closing(code, reason, false));
          said = await connection.read();
          if (first === "client") await connection.send(closing(code, reason, false));
        });
        await using proxy = await startProxy(engine, { backends: [backend.url] });
        using client = await RawClient.connect(proxy.port);
        assertEquals((await ask(client, webSocketHandshake())).status, 101);
        if (first === "client") await client.send(closing(code, reason, true));
        await expectBytes(client, closing(code, reason, false), `${code} by the ${first}`);
        if (first === "backend") await client.send(closing(code, reason, true));
        client.close();
        await proxy.idle();
        if (first === "client") {
          assertEquals(unmasked(said ?? new Uint8Array(0)), closing(code, reason, false).slice(2));
        }
      }
    }
  });

  Deno.test(name("a refusal passes its status on, and headers and body where the engine can"), async () => {
    await using backend = RawBackend.answering("HTTP/1.1 403 No\r\nX-Why: because\r\nContent-Length: 7\r\n\r\nno door");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      const response = await ask(client, webSocketHandshake());
      const passed = [response.status, headerOf(response, "x-why"), textOf(response)];
      assertEquals(passed, deviations.dropsRefusalBodies ? [403, undefined, ""] : [403, "because", "no door"]);
    }
    client.close();
    await proxy.idle();
    assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
  });

  Deno.test(name("h2c is never asked for, other protocols are tunnelled or left out"), async () => {
    await using backend = new RawBackend(async (connection) => {
      while (await connection.head()) {
        if (!/^upgrade: own\r$/im.test(connection.received)) {
          await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
          continue;
        }
        await connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: own\r\nConnection: upgrade\r\n\r\nhello\n");
        const said = await connection.read();
        await connection.send(said ?? "");
        return;
      }
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const asking = (protocol: string) =>
      `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: ${protocol}\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`;
    using plain = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(plain, asking("h2c"))), "plain");
    assert(!/^(?:upgrade|http2-settings):/im.test(backend.connections[0]?.received ?? ""));
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, asking("own"));
    if (deviations.bridgesWebSocketsOnly) {
      assertEquals([response.status, textOf(response)], [200, "plain"]);
    } else {
      assertEquals([response.status, headerOf(response, "upgrade")], [101, "own"]);
      await expectBytes(client, new TextEncoder().encode("hello\n"), "the first word");
      const own = Uint8Array.of(0, 255, 13, 10, 128);
      await client.send(own);
      await expectBytes(client, own, "the echo");
      assertEquals(await within(client.closed(), "the end"), true);
    }
    plain.close();
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a 101 to another protocol than was asked for is 502, a failure"), async () => {
    const answers = [
      "Upgrade: other\r\nConnection: upgrade\r\n",
      "Connection: upgrade\r\n",
      "Upgrade: websocket, other\r\nConnection: upgrade\r\n",
    ];
    for (const lines of answers) {
      await using backend = RawBackend.answering(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`);
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, webSocketHandshake())).status, 502, lines);
      client.close();
      await proxy.idle();
      assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [1, true], lines);
    }
  });

  Deno.test(name("a handshake that is none is a plain request or refused, never a tunnel"), async () => {
    await using backend = RawBackend.answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const handshake = webSocketHandshake();
    const odd = [
      handshake.replace(/Sec-WebSocket-Key: .*\r\n/, ""),
      handshake.replace("Connection: Upgrade\r\n", ""),
      handshake.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (const request of odd) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, request);
      assert([200, 400, 426].includes(response.status), `${response.status} for ${JSON.stringify(request)}`);
      client.close();
      await proxy.idle();
    }
  });
}

// What crosses the proxy: methods, targets, headers and bodies, both ways.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";

async function sha256(data: BufferSource): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

Deno.test("method, path, query and body reach the backend as sent", async () => {
  await using backend = new HttpBackend(async (request) => {
    return Response.json({ method: request.method, target: request.url, body: await request.text() });
  });
  await using proxy = await TestProxy.start({ backends: [`${backend.url}/base`] });
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]) {
    const body = ["GET", "OPTIONS"].includes(method) ? null : `body of ${method}`;
    const response = await fetch(`${proxy.url}/a%2Fb/c?x=1&y=%20&x=2;z`, { method, body });
    const seen = await response.json();
    assertEquals([seen.method, seen.body], [method, body ?? ""]);
    assertStringIncludes(seen.target, "/base/a%2Fb/c?x=1&y=%20&x=2;z");
  }
  await proxy.idle();
});

Deno.test("Host is passed on unchanged, and the target's authority takes its place in absolute form", async () => {
  await using backend = new HttpBackend((request) => new Response(`${request.headers.get("host")} ${request.url}`));
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const plain = await client.request("GET /p HTTP/1.1\r\nHost: shop.example:8443\r\n\r\n");
  assertStringIncludes(textOf(plain ?? await Promise.reject()), "shop.example:8443 ");
  const absolute = await client.request("GET http://real.example/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n");
  assertEquals(textOf(absolute ?? await Promise.reject()), "real.example http://real.example/p?q");
});

Deno.test("status, headers and body come back as the backend sent them, Set-Cookie separate and in order", async () => {
  await using backend = RawBackend.answering(
    "HTTP/1.1 418 I'm a teapot\r\nX-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2, c\r\n" +
      "Connection: x-hop\r\nX-Hop: gone\r\nContent-Length: 5\r\n\r\nshort",
  );
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert(response !== undefined);
  assertEquals([response.status, textOf(response), response.complete], [418, "short", true]);
  const cookies = response.headers.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);
  assertEquals(cookies, ["a=1", "b=2, c"]);
  assertEquals([headerOf(response, "x-one"), headerOf(response, "x-hop")], ["1", undefined]);
  assertEquals([headerOf(response, "content-length"), headerOf(response, "transfer-encoding")], ["5", undefined]);
  assertMatch(headerOf(response, "x-request-id") ?? "", /^[0-9a-f]{32}$/);
});

Deno.test("redirects are passed on, not followed", async () => {
  await using backend = new HttpBackend(() => new Response(null, { status: 302, headers: { location: "/elsewhere" } }));
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const response = await fetch(proxy.url, { redirect: "manual" });
  assertEquals([response.status, response.headers.get("location"), backend.requests], [302, "/elsewhere", 1]);
  await response.body?.cancel();
});

Deno.test("what a client claims about itself does not reach the backend", async () => {
  await using backend = new HttpBackend((request) => Response.json(Object.fromEntries(request.headers)));
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const claims = {
    "x-forwarded-for": "6.6.6.6",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "evil",
    "x-forwarded-port": "1",
    "x-real-ip": "6.6.6.6",
    forwarded: "for=6.6.6.6",
    "proxy-authorization": "Basic x",
    "x-request-id": "kept-1",
  };
  const seen = await (await fetch(`${proxy.url}/`, { headers: claims })).json();
  const host = new URL(proxy.url).host;
  assertEquals(seen["x-forwarded-for"], "127.0.0.1");
  assertEquals([seen["x-forwarded-proto"], seen["x-forwarded-host"], seen["host"]], ["http", host, host]);
  assertEquals(seen["x-request-id"], "kept-1");
  for (const name of ["x-forwarded-port", "x-real-ip", "forwarded", "proxy-authorization"]) {
    assertEquals(seen[name], undefined, name);
  }
});

Deno.test("a compressed response arrives byte for byte as compressed, with its headers", async () => {
  const text = "compress me ".repeat(500);
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  const compressed = new Uint8Array(await new Response(stream).arrayBuffer());
  await using backend = new HttpBackend(() =>
    new Response(compressed, { headers: { "content-encoding": "gzip", "content-length": String(compressed.length) } })
  );
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const response = await client.request("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n\r\n");
  assert(response !== undefined);
  assertEquals(headerOf(response, "content-encoding"), "gzip");
  assertEquals(response.body, compressed);
  assertEquals(await (await fetch(proxy.url)).text(), text);
});

Deno.test("HEAD, 204, 304 and empty bodies keep their headers and end at once", async () => {
  await using backend = RawBackend.answering('HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "x"\r\n\r\n');
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const head = await client.request("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert(head !== undefined);
  assertEquals([head.status, headerOf(head, "content-length"), headerOf(head, "etag")], [200, "12345", '"x"']);

  for (const status of ["204 No Content", "304 Not Modified"]) {
    await using other = RawBackend.answering(`HTTP/1.1 ${status}\r\nETag: "y"\r\n\r\n`);
    await using through = await TestProxy.start({ backends: [other.url] });
    using raw = await RawClient.connect(through.port);
    for (let round = 0; round < 2; round++) {
      const response = await raw.request('GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: "y"\r\n\r\n');
      assertEquals([response?.status, response && headerOf(response, "etag")], [Number(status.slice(0, 3)), '"y"']);
    }
  }
  await using empty = RawBackend.answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  await using proxied = await TestProxy.start({ backends: [empty.url] });
  assertEquals(await (await fetch(proxied.url)).text(), "");
});

Deno.test("chunked responses without a length stream through, and a body that ends with the connection", async () => {
  await using chunked = RawBackend.answering(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: dropped\r\n\r\n",
  );
  await using untilClose = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.1 200 OK\r\n\r\nto the end");
  });
  await using proxy = await TestProxy.start({ backends: [chunked.url, untilClose.url] });
  assertEquals(await (await fetch(proxy.url)).text(), "abcdefg");
  assertEquals(await (await fetch(proxy.url)).text(), "to the end");
  await proxy.idle();
});

Deno.test("a streamed upload of 5 MB keeps its hash, also past two backends that refuse connections", async () => {
  await using backend = new HttpBackend(async (request) => new Response(await sha256(await request.arrayBuffer())));
  const listeners = [0, 0].map((port) => Deno.listen({ hostname: "127.0.0.1", port }));
  const refusing = listeners.map((listener) => `http://127.0.0.1:${listener.addr.port}`);
  for (const listener of listeners) listener.close();
  await using proxy = await TestProxy.start({ backends: [...refusing, backend.url], passive: { connectFailures: 0 } });
  const data = crypto.getRandomValues(new Uint8Array(65536));
  const whole = new Uint8Array(80 * data.length);
  for (let part = 0; part < 80; part++) whole.set(data, part * data.length);
  const body = new Blob([whole]).stream();
  const response = await fetch(`${proxy.url}/upload`, { method: "POST", body });
  assertEquals([response.status, await response.text()], [200, await sha256(whole)]);
  await proxy.roundhouse.settled();
  assertEquals(proxy.log.of("attempt failed").length, 2);
  await proxy.idle();
});

Deno.test("server-sent events arrive one by one, and the client's leaving reaches the backend", async () => {
  const left = Promise.withResolvers<void>();
  const push: ((text: string) => void)[] = [];
  await using backend = new HttpBackend(() => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        push.push((text) => controller.enqueue(new TextEncoder().encode(text)));
        push[0]?.("data: 0\n\n");
      },
      cancel: () => left.resolve(),
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  });
  await using proxy = await TestProxy.start({ backends: [backend.url] });
  const response = await fetch(proxy.url);
  const reader = response.body?.getReader();
  assert(reader !== undefined);
  for (let event = 0; event < 3; event++) {
    const { value } = await reader.read();
    assertEquals(new TextDecoder().decode(value), `data: ${event}\n\n`);
    assertEquals(proxy.backend(backend.url).currentConnections, 1);
    push[0]?.(`data: ${event + 1}\n\n`);
  }
  await reader.cancel();
  await left.promise;
  await proxy.idle();
  assertEquals(proxy.backend(backend.url).alive, true);
});

Deno.test("an unsafe request without a body reaches the backend once, though its kept connection has died", async () => {
  // Deno's fetch silently sent such requests a second time, and engine wire a DELETE or PUT: the backend saw DELETE twice.
  // `fetch` gives each a connection of its own. What dies with the kept one may have been carried out.
  for (const method of ["POST", "DELETE", "PUT", "PATCH"]) {
    let asked = 0;
    await using backend = new RawBackend(async (connection) => {
      for (let request = 0; await connection.head(); request++) {
        if (connection.received.startsWith(method)) asked++;
        if (connection.received.startsWith(method) && request > 0) return; // the kept connection dies
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    });
    await using proxy = await TestProxy.start({ backends: [backend.url] });
    assertEquals(await (await fetch(proxy.url)).text(), "ok");
    const response = await fetch(proxy.url, { method });
    await response.body?.cancel();
    const expected = backend.connections.length === 1 ? 502 : 200;
    assertEquals([response.status, asked], [expected, 1], method);
  }
});

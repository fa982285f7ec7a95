/** Bodies: whole, streamed, bounded, compressed, ranged and absent. */

import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { RawBackend } from "../support/raw_backend.ts";
import { concat, headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";
import {
  answered,
  ask,
  type EngineUnderTest,
  get,
  post,
  probe,
  startProxy,
  unharmed,
  within,
} from "./engine_under_test.ts";

const MEGABYTE = 1024 * 1024;

/** More than all socket buffers on the way hold together. */
const FLOOD_BYTES = 256 * MEGABYTE;
/** What they may hold: the kernel's on both sides of the proxy, and a little of the proxy's own. */
const MOST_HELD_BYTES = 64 * MEGABYTE;

async function sha256(data: BufferSource): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

/** Resolves once a count has stood still for a while: whoever raises it waits. */
async function stalled(count: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  await waitFor(() => {
    if (count() !== last) {
      last = count();
      since = performance.now();
    }
    return last > 0 && performance.now() - since > 300;
  }, { what: "a writer to stall", timeoutMs: 30_000 });
  return last;
}

export function testBodies(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: bodies: ${what}`;
  const { deviations } = engine;

  Deno.test(name("10 MB cross both ways unchanged, of known length and in chunks"), async () => {
    const data = randomBytes(10_000_000);
    const hash = await sha256(data);
    await using backend = new RecordingBackend(({ target, body }) => {
      if (!target.startsWith("/large")) return ok("");
      const head = "HTTP/1.1 200 OK\r\n";
      const bytes = (text: string) => new TextEncoder().encode(text);
      if (target === "/large/known") return concat([bytes(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
      const parts: Uint8Array[] = [bytes(`${head}Transfer-Encoding: chunked\r\n\r\n`)];
      for (let at = 0; at < body.length; at += 77_777) {
        const part = body.subarray(at, at + 77_777);
        parts.push(bytes(`${part.length.toString(16)}\r\n`), part, bytes("\r\n"));
      }
      return concat([...parts, bytes("0\r\n\r\n")]);
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const target of ["/large/known", "/large/chunked"]) {
      const head = `POST ${target} HTTP/1.1\r\nHost: x\r\n`;
      const sent = target.endsWith("known")
        ? client.send(`${head}Content-Length: ${data.length}\r\n\r\n`).then(() => client.send(data))
        : client.send(`${head}Transfer-Encoding: chunked\r\n\r\n${data.length.toString(16)}\r\n`)
          .then(() => client.send(data)).then(() => client.send("\r\n0\r\n\r\n"));
      const [response] = await Promise.all([answered(client.response(), target), sent]);
      assertEquals([response.status, response.complete, response.body.length], [200, true, data.length], target);
      assertEquals(await sha256(backend.last.body), hash, target);
      assertEquals(await sha256(new Uint8Array(response.body)), hash, target);
    }
    assertEquals(backend.violations, []);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a client that stops reading stops the backend"), async () => {
    let sent = 0;
    await using backend = new RawBackend(async (connection) => {
      if (!await connection.head()) return;
      await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`);
      const block = new Uint8Array(MEGABYTE / 4);
      while (sent < FLOOD_BYTES) {
        await connection.send(block);
        sent += block.length;
      }
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/flood"));
    const held = await stalled(() => sent);
    assertLess(held, MOST_HELD_BYTES);
    // Reading again sets it going again.
    let read = 0;
    while (read < held + MEGABYTE) read += (await within(client.chunk(), "more")).length;
    assertGreater(sent, held);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a backend that stops reading stops the client"), async () => {
    let sent = 0;
    const give = Promise.withResolvers<void>();
    await using backend = new RawBackend(async (connection) => {
      await connection.until("\r\n\r\n");
      await give.promise;
    });
    using _ = { [Symbol.dispose]: give.resolve };
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(`POST /flood HTTP/1.1\r\nHost: x\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`);
    const block = new Uint8Array(MEGABYTE / 64);
    const flood = (async () => {
      while (sent < FLOOD_BYTES) {
        await client.send(block);
        sent += block.length;
      }
    })().catch(() => {}); // cut at the end of the test
    assertLess(await stalled(() => sent), MOST_HELD_BYTES);
    // Behind bytes that nobody takes the client's leaving can't be seen: the backend has to move first.
    client.close();
    await flood;
    give.resolve();
    await proxy.idle();
  });

  Deno.test(name("parts of a request body reach the backend as they come"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST /parts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let part = 1; part <= 3; part++) {
      await client.send("2\r\nab\r\n");
      await waitFor(() => backend.requests[0]?.bodyBytes === part * 2, { what: `part ${part} at the backend` });
    }
    await client.send("0\r\n\r\n");
    assertEquals(textOf(await answered(client.response())), "POST /parts 6");
    await unharmed({ proxy, client, backend, what: "a body in parts" });
  });

  Deno.test(name("request and response flow side by side"), async () => {
    const length = 5;
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (let part = 0; part < length; part++) {
        await connection.until(`up-${part}`);
        await connection.send(`6\r\ndown-${part}\r\n`);
      }
      await connection.until("\r\n0\r\n\r\n");
      await connection.send("0\r\n\r\n");
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST /both HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let text = "";
    const until = async (wanted: string) => {
      while (!text.includes(wanted)) {
        const more = await within(client.chunk(), wanted);
        assert(more.length > 0, "cut");
        text += new TextDecoder().decode(more);
      }
    };
    await until("\r\n\r\n");
    for (let part = 0; part < length; part++) {
      await client.send(`4\r\nup-${part}\r\n`);
      await until(`down-${part}`);
    }
    await client.send("0\r\n\r\n");
    await until("\r\n0\r\n\r\n");
    client.close();
    await proxy.idle();
    assertEquals(proxy.backend(backend.url).totalFailures, 0);
  });

  Deno.test(name("Expect: 100-continue is answered, and the body follows"), async () => {
    await using backend = new RecordingBackend(echoOf, {
      onHead: (request) => valuesOf(request, "expect").length > 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : undefined,
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      await client.send("POST /expect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
      assertEquals((await answered(client.response(), "Expect")).status, 100);
      await client.send("body");
      const response = await answered(client.response(), "the body");
      assertEquals([response.status, textOf(response)], [200, "POST /expect 4"]);
    }
    // A client that does not wait is served as well.
    await client.send("POST /expect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
    let response = await answered(client.response());
    while (response.status === 100) response = await answered(client.response());
    assertEquals(textOf(response), "POST /expect 4");
    await unharmed({ proxy, client, backend, what: "Expect" });
  });

  Deno.test(name("a refusal comes though the client still waits for 100, and instead of it"), async () => {
    // Clients were told to go on, and sent a body that nobody wanted.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], proxy: { maxBodySize: 10 } });
    const refusals: [status: number, head: string][] = [
      [413, "POST /expect HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n"],
      [405, "TRACE /expect HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"],
      [405, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nContent-Length: 4\r\n"],
      [400, "POST /expect HTTP/1.1\r\nContent-Length: 4\r\n"],
      [400, "POST /expect HTTP/1.1\r\nHost: a b\r\nTransfer-Encoding: chunked\r\n"],
    ];
    for (const [status, head] of refusals) {
      using client = await RawClient.connect(proxy.port);
      let response = await ask(client, `${head}Expect: 100-continue\r\n\r\n`);
      if (deviations.continuesUnasked && response.status === 100) response = await answered(client.response(), head);
      assertEquals(response.status, status, head);
      client.close();
    }
    proxy.pool.update(proxy.backend(backend.url), { state: "disabled" }, "test");
    using client = await RawClient.connect(proxy.port);
    let response = await ask(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    if (deviations.continuesUnasked) response = await answered(client.response(), "no backend");
    assertEquals(response.status, 503);
    client.close();
    proxy.pool.update(proxy.backend(backend.url), { state: "active" }, "test");
    await unharmed({ proxy, backend, what: "a refused Expect" });
    assertEquals(backend.requests.filter(({ target }) => !target.startsWith("/probe")), []);
  });

  Deno.test(name("HEAD, 204, 304 and Content-Length: 0 end at once and keep their headers"), async () => {
    const answers: Record<string, string> = {
      "/head": 'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "h"\r\n\r\n',
      "/head-404": 'HTTP/1.1 404 No\r\nContent-Length: 9\r\nETag: "h"\r\n\r\n',
      "/204": 'HTTP/1.1 204 No Content\r\nETag: "h"\r\n\r\n',
      "/304": 'HTTP/1.1 304 Not Modified\r\nETag: "h"\r\nCache-Control: max-age=5\r\n\r\n',
      "/304-length": 'HTTP/1.1 304 Not Modified\r\nETag: "h"\r\nContent-Length: 100\r\n\r\n',
      "/zero": 'HTTP/1.1 200 OK\r\nETag: "h"\r\nContent-Length: 0\r\n\r\n',
      "/no-chunks": 'HTTP/1.1 200 OK\r\nETag: "h"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    };
    await using backend = new RecordingBackend((request) => answers[request.target] ?? echoOf(request));
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      for (const target of Object.keys(answers)) {
        const method = target.startsWith("/head") ? "HEAD" : "GET";
        const response = await ask(client, `${method} ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
        assertEquals([headerOf(response, "etag"), response.body.length, response.complete], ['"h"', 0, true], target);
        assertEquals(response.status, Number(/ (\d{3}) /.exec(answers[target] ?? "")?.[1]), target);
        if (target === "/head") assertEquals(headerOf(response, "content-length"), "12345");
        if (target === "/head-404") assertEquals(headerOf(response, "content-length"), "9");
        if (target === "/204") assertEquals(headerOf(response, "content-length"), undefined);
        assertEquals(await probe(client, target), "served", target);
      }
    }
    await unharmed({ proxy, client, backend, what: "answers without a body" });
  });

  Deno.test(name("an answer to HEAD of unknown length stays of unknown length"), async () => {
    // `Deno.serve` made it Content-Length: 0, and download managers and link checkers took the resource for empty.
    await using backend = new RecordingBackend((request) => {
      if (request.target === "/plain") return 'HTTP/1.1 200 OK\r\nETag: "h"\r\n\r\n';
      return request.target === "/chunked" ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" : echoOf(request);
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const target of ["/plain", "/chunked"]) {
      const response = await ask(client, `HEAD ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assertEquals([response.status, headerOf(response, "content-length")], [200, undefined], target);
      assertEquals(await probe(client, target), "served");
    }
    await unharmed({ proxy, client, backend, what: "HEAD" });
  });

  Deno.test(name("an answer to HEAD whose status allows no body crosses without a length"), async () => {
    // Browsers and caches that revalidated with HEAD got 500 for 304, since `fetch` takes not even an empty body with it.
    await using backend = new RecordingBackend(({ target }) =>
      `HTTP/1.1 ${target.slice(1)} No Body\r\nETag: "h"\r\n\r\n`
    );
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const status of [204, 304]) {
      const response = await ask(client, `HEAD /${status} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assertEquals([response.status, headerOf(response, "etag")], [status, '"h"']);
    }
    client.close();
    await proxy.idle();
  });

  Deno.test(name("ranges and conditional requests pass through"), async () => {
    await using backend = new RecordingBackend((request) => {
      const [range] = valuesOf(request, "range");
      if (range === "bytes=9-") return "HTTP/1.1 416 Range\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n";
      if (range !== undefined && valuesOf(request, "if-range")[0] !== '"old"') {
        return 'HTTP/1.1 206 Partial Content\r\nETag: "v"\r\nContent-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\ncde';
      }
      if (valuesOf(request, "if-none-match")[0] === 'W/"v"') return 'HTTP/1.1 304 Not Modified\r\nETag: W/"v"\r\n\r\n';
      if (valuesOf(request, "if-match")[0] === '"old"') return "HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n";
      return ok("abcdefghi", 'Accept-Ranges: bytes\r\nETag: "v"\r\nLast-Modified: Tue, 15 Nov 1994 08:12:31 GMT\r\n');
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const part = await ask(client, get("/r", "Range: bytes=2-4\r\n"));
    assertEquals([part.status, textOf(part), headerOf(part, "content-range")], [206, "cde", "bytes 2-4/9"]);
    const whole = await ask(client, get("/r", 'Range: bytes=2-4\r\nIf-Range: "old"\r\n'));
    assertEquals([whole.status, textOf(whole), headerOf(whole, "accept-ranges")], [200, "abcdefghi", "bytes"]);
    const beyond = await ask(client, get("/r", "Range: bytes=9-\r\n"));
    assertEquals([beyond.status, headerOf(beyond, "content-range")], [416, "bytes */9"]);
    const same = await ask(
      client,
      get("/r", 'If-None-Match: W/"v"\r\nIf-Modified-Since: Tue, 15 Nov 1994 08:12:31 GMT\r\n'),
    );
    assertEquals([same.status, headerOf(same, "etag")], [304, 'W/"v"']);
    assertEquals(valuesOf(backend.last, "if-modified-since").length, 1);
    const failed = await ask(client, 'PUT /r HTTP/1.1\r\nHost: x\r\nIf-Match: "old"\r\nContent-Length: 1\r\n\r\nx');
    assertEquals(failed.status, 412);
    client.close();
    await proxy.idle();
    assertEquals(backend.violations, []);
  });

  Deno.test(name("trailers cross, or are dropped without a trace, both ways"), async () => {
    const chunked =
      "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
    await using backend = new RecordingBackend((request) => request.target === "/trailers" ? chunked : echoOf(request));
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      await client.send(
        "POST /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: te\r\nTrailer: X-Up\r\n" +
          "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Up: 3\r\n\r\n",
      );
      let text = "";
      while (!/\r\n0\r\n(?:.*\r\n)*\r\n$/.test(text)) {
        const more = await within(client.chunk(), "the end of the chunks");
        assert(more.length > 0, "cut");
        text += new TextDecoder().decode(more);
      }
      assertEquals(new TextDecoder().decode(backend.last.body), "hi");
      if (deviations.dropsTrailers) {
        assert(text.endsWith("\r\nabc\r\n0\r\n\r\n"), text);
        assertEquals([backend.last.trailers, valuesOf(backend.last, "trailer")], [[], []]);
        assert(!/^trailer:/im.test(text));
      } else {
        assert(text.endsWith("\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"), text);
        assertEquals([backend.last.trailers, valuesOf(backend.last, "trailer")], [[["X-Up", "3"]], ["X-Up"]]);
        assert(/^trailer: X-Sum\r$/im.test(text));
      }
      assertEquals(await probe(client, "trailers"), "served");
    }
    await unharmed({ proxy, client, backend, what: "trailers" });
  });

  Deno.test(name("over maxBodySize by its length: 413, the backend sees nothing"), async () => {
    // The runtime's hold on the unread body was never let go: each 413 leaked it, for whoever runs under a flood of them.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], proxy: { maxBodySize: 1000 } });
    for (const length of [1001, 1_000_000_000_000]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, `POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
      assertEquals([response.status, JSON.parse(textOf(response)).status], [413, 413]);
      client.close();
    }
    assertEquals(backend.requests, []);
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, post("/fits", "x".repeat(1000)))), "POST /fits 1000");
    await unharmed({ proxy, client, backend, what: "a body as large as allowed" });
  });

  Deno.test(name("over maxBodySize as it comes: 413, the backend sees at most that much and no end"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url], proxy: { maxBodySize: 1000 } });
    const chunk = (length: number) => `${length.toString(16)}\r\n${"x".repeat(length)}\r\n`;
    const head = "POST /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const first of [[1001], [600, 401], [1000, 1], Array<number>(1001).fill(1), [100_000]]) {
      const before = backend.requests.length;
      using client = await RawClient.connect(proxy.port);
      await client.send(head + first.map(chunk).join("")).catch(() => {}); // more may be under way than is read
      const response = await answered(client.response(), `${first.length} chunks`);
      assertEquals(response.status, 413);
      await client.send(`0\r\n\r\n${get("/smuggled")}`).catch(() => {}); // closed is fine
      await proxy.idle();
      // The body ends after all, so what follows it is a request of its own if the connection is still open.
      for (const request of backend.requests.slice(before).filter(({ target }) => target === "/big")) {
        assertLessOrEqual(request.bodyBytes, 1000);
        assertEquals(request.complete, false);
      }
      client.close();
      await unharmed({ proxy, backend, what: "too large a body" });
    }
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, `${head}${chunk(400)}${chunk(600)}0\r\n\r\n`)), "POST /big 1000");
    assertEquals(proxy.backend(backend.url).totalFailures, 0);
    await unharmed({ proxy, client, backend, what: "a body as large as allowed" });
  });

  Deno.test(name("server-sent events arrive one by one"), async () => {
    let next = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/events") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n");
      for (let event = 0; event < 3; event++) {
        await connection.send(`data: ${event}\n\n`);
        await next.promise;
      }
      return undefined;
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/events", "Accept: text/event-stream\r\n"));
    let text = "";
    for (let event = 0; event < 3; event++) {
      while (!text.includes(`data: ${event}\n\n`)) {
        text += new TextDecoder().decode(await within(client.chunk(), "an event"));
      }
      assert(!text.includes(`data: ${event + 1}`));
      const go = next;
      next = Promise.withResolvers();
      go.resolve();
    }
    client.close();
    await unharmed({ proxy, backend, what: "an event stream" });
  });
}

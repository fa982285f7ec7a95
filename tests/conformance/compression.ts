/** Compression at the edge: only where the client accepts it, and never of what would be harmed. */

import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { assert, assertEquals, assertLess } from "@std/assert";
import { concat, headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { echoOf, ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, probe, startProxy, unharmed, within } from "./engine_under_test.ts";

const encoder = new TextEncoder();
const TEXT = "compress me ".repeat(2000);

async function gunzip(bytes: Uint8Array): Promise<string> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

function codingOf(response: RawResponse): string | undefined {
  return headerOf(response, "content-encoding");
}

/** Codings, and the text under each. */
const PACKED: Readonly<Record<string, Uint8Array>> = {
  "gzip": new Uint8Array(gzipSync(TEXT)),
  "br": new Uint8Array(brotliCompressSync(TEXT)),
  "deflate": new Uint8Array(deflateSync(TEXT)),
  "zstd": new Uint8Array(zstdCompressSync(TEXT)),
  "x-own": encoder.encode("!" + TEXT),
};

/**
 * A backend that compresses by itself what `/CODING/FRAMING` asks for, if the lines of `Accept-Encoding` taken together
 * allow it. `/plain` it never compresses.
 */
function packing(): RecordingBackend {
  return new RecordingBackend((request) => {
    const { target } = request;
    if (target.startsWith("/probe")) return echoOf(request);
    const [, coding = "", framing] = target.split("/");
    const accepted = valuesOf(request, "accept-encoding").join(", ").split(/ *, */);
    const packed = accepted.includes(coding) ? PACKED[coding] : undefined;
    if (packed === undefined) return ok(TEXT, "Content-Type: text/plain\r\n");
    const about = `Content-Type: text/plain\r\nContent-Encoding: ${coding}\r\nETag: "v"\r\nVary: Accept-Encoding\r\n` +
      "Accept-Ranges: bytes\r\nContent-Digest: sha-256=:x:\r\n";
    if (valuesOf(request, "if-none-match").length > 0) return `HTTP/1.1 304 Not Modified\r\n${about}\r\n`;
    const ranged = valuesOf(request, "range").length > 0;
    const part = ranged ? packed.subarray(2, 12) : packed;
    const status = ranged ? "206 Partial Content" : "200 OK";
    const range = ranged ? `Content-Range: bytes 2-11/${packed.length}\r\n` : "";
    const framed = framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : `Content-Length: ${part.length}\r\n`;
    const head = encoder.encode(`HTTP/1.1 ${status}\r\n${about}${range}${framed}\r\n`);
    if (request.method === "HEAD") return head;
    if (framing !== "chunked") return concat([head, part]);
    const half = part.length >> 1;
    return concat([head, chunkOf(part.subarray(0, half)), chunkOf(part.subarray(half)), encoder.encode("0\r\n\r\n")]);
  });
}

function chunkOf(bytes: Uint8Array): Uint8Array {
  return concat([encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n")]);
}

/** Fails unless every coding of a `packing` backend arrives as it was sent, with its headers. */
async function assertPacked(client: RawClient): Promise<void> {
  const about = ["content-encoding", "etag", "vary", "accept-ranges", "content-digest"];
  for (const [coding, packed] of Object.entries(PACKED)) {
    for (const framing of ["length", "chunked"]) {
      const target = `/${coding}/${framing}`;
      const accept = `Accept-Encoding: ${coding}, gzip;q=0.1\r\n`;
      const told = (response: RawResponse) => about.map((name) => headerOf(response, name));
      const headers = [coding, '"v"', "Accept-Encoding", "bytes", "sha-256=:x:"];
      const length = framing === "length" ? String(packed.length) : undefined;
      const whole = await ask(client, get(target, accept));
      assertEquals([whole.status, whole.complete, whole.body], [200, true, packed], target);
      assertEquals([told(whole), headerOf(whole, "content-length")], [headers, length], target);
      const head = await ask(client, `HEAD ${target} HTTP/1.1\r\nHost: x\r\n${accept}\r\n`);
      assertEquals([told(head), headerOf(head, "content-length")], [headers, length], `HEAD ${target}`);
      const part = await ask(client, get(target, `${accept}Range: bytes=2-11\r\n`));
      assertEquals([part.status, part.body, told(part)], [206, packed.slice(2, 12), headers], `part of ${target}`);
      const same = await ask(client, get(target, `${accept}If-None-Match: "v"\r\n`));
      assertEquals([same.status, same.body.length, headerOf(same, "etag")], [304, 0, '"v"'], `304 of ${target}`);
    }
  }
}

export function testCompression(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: compression: ${what}`;

  Deno.test(
    name("without the setting what is compressed passes byte for byte, and nothing else is compressed"),
    async () => {
      await using backend = packing();
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      await assertPacked(client);
      const plain = await ask(client, get("/plain", "Accept-Encoding: gzip, br\r\n"));
      assertEquals([codingOf(plain), textOf(plain)], [undefined, TEXT]);
      await unharmed({ proxy, client, backend, what: "compressed answers" });
    },
  );

  if (!engine.deviations.compresses) return; // a configuration error there
  const start = (backend: RecordingBackend) => {
    return startProxy(engine, { backends: [backend.url], proxy: { compression: true } });
  };

  Deno.test(name("a text is gzip for whom accepts gzip, with the right headers, and plain for others"), async () => {
    await using backend = new RecordingBackend((request) => {
      return request.target === "/text" ? ok(TEXT, 'Content-Type: text/plain\r\nETag: "v"\r\n') : echoOf(request);
    });
    await using proxy = await start(backend);
    using client = await RawClient.connect(proxy.port);
    const packed = await ask(client, get("/text", "Accept-Encoding: gzip\r\n"));
    assertEquals([packed.status, codingOf(packed), packed.complete], [200, "gzip", true]);
    assertLess(packed.body.length, TEXT.length / 2);
    assertEquals(await gunzip(packed.body), TEXT);
    assert(headerOf(packed, "vary")?.toLowerCase().includes("accept-encoding"));
    // The bytes are others, so a strong tag would promise too much.
    assert(headerOf(packed, "etag")?.startsWith("W/") ?? true);
    const length = headerOf(packed, "content-length");
    assert(length === undefined || Number(length) === packed.body.length);
    for (
      const accept of [
        "",
        "Accept-Encoding: identity\r\n",
        "Accept-Encoding: gzip;q=0, br;q=0\r\n",
        "Accept-Encoding:\r\n",
      ]
    ) {
      const plain = await ask(client, get("/text", accept));
      assertEquals([codingOf(plain), textOf(plain)], [undefined, TEXT], accept);
    }
    await unharmed({ proxy, client, backend, what: "compression" });
  });

  Deno.test(name("what is compressed already passes byte for byte with the setting, too"), async () => {
    await using backend = packing();
    await using proxy = await start(backend);
    using client = await RawClient.connect(proxy.port);
    await assertPacked(client);
    await unharmed({ proxy, client, backend, what: "compressed answers" });
  });

  Deno.test(name("ranges, no-transform, pictures and answers without a body are left alone"), async () => {
    const answers: Record<string, string> = {
      "/range":
        `HTTP/1.1 206 Partial\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-${TEXT.length - 1}/99999\r\n` +
        `Content-Length: ${TEXT.length}\r\n\r\n${TEXT}`,
      "/no-transform": ok(TEXT, "Content-Type: text/plain\r\nCache-Control: no-transform\r\n"),
      "/picture": ok(TEXT, "Content-Type: image/png\r\n"),
    };
    await using backend = new RecordingBackend((request) => {
      if (request.method === "HEAD") {
        return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${TEXT.length}\r\n\r\n`;
      }
      if (request.target === "/304") return 'HTTP/1.1 304 Not Modified\r\nETag: "v"\r\n\r\n';
      return answers[request.target] ?? echoOf(request);
    });
    await using proxy = await start(backend);
    using client = await RawClient.connect(proxy.port);
    for (const [target, answer] of Object.entries(answers)) {
      const response = await ask(client, get(target, "Accept-Encoding: gzip\r\nRange: bytes=0-\r\n"));
      assertEquals([codingOf(response), textOf(response)], [undefined, TEXT], target);
      assertEquals(response.status, Number(answer.slice(9, 12)));
      assertEquals(headerOf(response, "content-range") !== undefined, target === "/range");
    }
    const head = await ask(client, "HEAD /text HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    // Either the length of the plain text or no word on it, but never one of the other's.
    assert([undefined, String(TEXT.length)].includes(headerOf(head, "content-length")));
    if (headerOf(head, "content-length") !== undefined) assertEquals(codingOf(head), undefined);
    assertEquals(await probe(client, "HEAD"), "served");
    const same = await ask(client, get("/304", "Accept-Encoding: gzip\r\n"));
    assertEquals([same.status, same.body.length], [304, 0]);
    await unharmed({ proxy, client, backend, what: "answers left alone" });
  });

  Deno.test(name("what holds for the backend's bytes alone goes with them, and HEAD says what GET says"), async () => {
    // The runtime sent digests of other bytes than the client got, and offered ranges of them. HEAD told the length and
    // the strong tag of what GET does not give, and so did a 304.
    const ofBytes = {
      "content-digest": "sha-256=:x:",
      "repr-digest": "sha-256=:x:",
      "digest": "sha-256=x",
      "content-md5": "x",
      "accept-ranges": "bytes",
    };
    const lines = Object.entries(ofBytes).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const types: Record<string, string> = {
      "/text": "Content-Type: Text/HTML; charset=utf-8\r\n",
      "/image": "Content-Type: image/jpeg\r\n",
      "/film": "Content-Type: video/mp4\r\n",
      "/signed": "Content-Type: text/plain\r\nCache-Control: max-age=5, No-Transform\r\n",
    };
    await using backend = new RecordingBackend((request) => {
      const type = types[request.target];
      if (type === undefined) return echoOf(request);
      const about = `${type}${lines}ETag: "v"\r\n`;
      if (valuesOf(request, "if-none-match").length > 0) return `HTTP/1.1 304 Not Modified\r\n${about}\r\n`;
      const answer = ok(TEXT, about);
      return request.method === "HEAD" ? answer.slice(0, -TEXT.length) : answer;
    });
    await using proxy = await start(backend);
    using client = await RawClient.connect(proxy.port);
    const told = ({ headers }: RawResponse) => {
      const varying = ["transfer-encoding", "date", "x-request-id"];
      return Object.fromEntries(headers.filter(([name]) => !varying.includes(name)));
    };
    for (const accept of ["gzip", "br", "gzip, deflate, br, zstd", "", "identity", "deflate"]) {
      for (const target of Object.keys(types)) {
        const what = `${target} for ${accept}`;
        const lines = accept === "" ? "" : `Accept-Encoding: ${accept}\r\n`;
        const whole = told(await ask(client, get(target, lines)));
        const head = told(await ask(client, `HEAD ${target} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`));
        assertEquals(head, whole, what);
        const packed = target === "/text" && /gzip|br/.test(accept);
        assertEquals(whole["content-encoding"] !== undefined, packed, what);
        assertEquals(whole["etag"], packed ? 'W/"v"' : '"v"', what);
        assertEquals(whole["content-length"], packed ? undefined : String(TEXT.length), what);
        for (const [name, value] of Object.entries(ofBytes)) {
          assertEquals(whole[name], packed ? undefined : value, `${name} of ${what}`);
        }
        const tag = whole["etag"];
        const same = await ask(client, get(target, `${lines}If-None-Match: ${tag}\r\n`));
        assertEquals([same.status, headerOf(same, "etag")], [304, tag], what);
      }
    }
    await unharmed({ proxy, client, backend, what: "headers of compressed answers" });
  });

  Deno.test(name("event streams still arrive one by one"), async () => {
    let next = Promise.withResolvers<void>();
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/events") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
      for (let event = 0; event < 3; event++) {
        await connection.send(`data: ${event}\n\n`);
        await next.promise;
      }
      return undefined;
    });
    await using proxy = await start(backend);
    const response = await within(fetch(`${proxy.url}/events`), "the head"); // accepts gzip, and would undo it
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let event = 0; event < 3; event++) {
      while (!text.includes(`data: ${event}\n\n`)) {
        text += (await within(reader?.read() ?? Promise.reject(), "an event")).value;
      }
      const go = next;
      next = Promise.withResolvers();
      go.resolve();
    }
    await reader?.cancel();
    await unharmed({ proxy, backend, what: "an event stream" });
  });
}

/** Compression at the edge: only where the client accepts it, and never of what would be harmed. */

import { assert, assertEquals, assertLess } from "@std/assert";
import { concat, headerOf, RawClient, type RawResponse, textOf } from "../support/raw_client.ts";
import { echoOf, ok, RecordingBackend } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, probe, startProxy, unharmed, within } from "./engine_under_test.ts";

const TEXT = "compress me ".repeat(2000);

async function gzip(text: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
  );
}

async function gunzip(bytes: Uint8Array): Promise<string> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

function codingOf(response: RawResponse): string | undefined {
  return headerOf(response, "content-encoding");
}

/** A backend whose answers are compressed already, under the coding that the target names; `/plain` is not. */
async function packing() {
  const packed = await gzip(TEXT);
  const backend = new RecordingBackend((request) => {
    const { target } = request;
    if (target.startsWith("/probe")) return echoOf(request);
    if (target === "/plain") return ok(TEXT, "Content-Type: text/plain\r\n");
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: ${target.slice(1)}\r\n` +
      `Content-Length: ${packed.length}\r\n\r\n`;
    return concat([new TextEncoder().encode(head), packed]);
  });
  return { backend, packed };
}

/** Fails unless every coding of a `packing` backend arrives as it was sent. */
async function assertPacked(client: RawClient, packed: Uint8Array): Promise<void> {
  for (const coding of ["gzip", "br", "zstd", "x-own"]) {
    const response = await ask(client, get(`/${coding}`, "Accept-Encoding: gzip, br\r\n"));
    assertEquals([codingOf(response), response.body], [coding, packed]);
  }
}

export function testCompression(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: compression: ${what}`;

  Deno.test(
    name("without the setting what is compressed passes byte for byte, and nothing else is compressed"),
    async () => {
      const { backend, packed } = await packing();
      await using _backend = backend;
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      await assertPacked(client, packed);
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
    const { backend, packed } = await packing();
    await using _backend = backend;
    await using proxy = await start(backend);
    using client = await RawClient.connect(proxy.port);
    await assertPacked(client, packed);
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

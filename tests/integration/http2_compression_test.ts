// Engine fetch over HTTP/2: what backends compressed was lost, and what the runtime compresses had wrong headers.

import { gzipSync } from "node:zlib";
import { assertEquals } from "@std/assert";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { concat } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";

const TEXT = "compress me ".repeat(2000);
const PACKED = new Uint8Array(gzipSync(TEXT));
const ABOUT = 'Content-Type: text/plain\r\nETag: "v"\r\nAccept-Ranges: bytes\r\nContent-Digest: sha-256=:x:\r\n';

/** `/packed` is compressed for whom accepts it, and `/plain` is not. */
function backendOf(): RecordingBackend {
  return new RecordingBackend((request) => {
    const packed = request.target === "/packed" && valuesOf(request, "accept-encoding").includes("gzip");
    const plain = ok(TEXT, ABOUT);
    if (!packed) return request.method === "HEAD" ? plain.slice(0, -TEXT.length) : plain;
    const head = `HTTP/1.1 200 OK\r\n${ABOUT}Content-Encoding: gzip\r\nContent-Length: ${PACKED.length}\r\n\r\n`;
    const bytes = new TextEncoder().encode(head);
    return request.method === "HEAD" ? bytes : concat([bytes, PACKED]);
  });
}

for (const compression of [false, true]) {
  Deno.test(`HTTP/2, compression ${compression}: bodies arrive under the headers that they have`, async () => {
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const tls = directory.writePair(await makePair({ authority }));
    await using backend = backendOf();
    await using proxy = await TestProxy.start({
      engine: "fetch",
      proxy: { tls, compression },
      backends: [backend.url],
    });
    using client = clientFor("HTTP/2", authority);
    const ask = async (target: string, method: string, accept: string) => {
      const headers = { "accept-encoding": accept };
      const response = await fetch(`${proxy.url}${target}`, { client, method, headers }); // undoes gzip
      const names = ["content-encoding", "content-length", "etag", "accept-ranges", "content-digest"];
      const told = names.map((name) => response.headers.get(name));
      return { told, whole: await response.text() === (method === "HEAD" ? "" : TEXT) };
    };
    for (const method of ["GET", "HEAD"]) {
      const bytes = ['"v"', "bytes", "sha-256=:x:"];
      const plain = [null, String(TEXT.length), ...bytes];
      const packed = ["gzip", String(PACKED.length), ...bytes];
      assertEquals(await ask("/packed", method, "gzip"), { told: packed, whole: true });
      assertEquals(await ask("/packed", method, "identity"), { told: plain, whole: true });
      const { told: [coding, length, ...rest], whole } = await ask("/plain", method, "gzip");
      assertEquals(whole, true);
      if (!compression) assertEquals([coding, length, ...rest], plain);
      else assertEquals([coding, length !== String(TEXT.length), ...rest], ["gzip", true, 'W/"v"', null, null]);
    }
    await proxy.idle();
    assertEquals(backend.violations, []);
  });
}

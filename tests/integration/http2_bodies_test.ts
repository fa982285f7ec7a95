// Under engine `fetch` bodies of HTTP/2 requests vanished with a 200 where no header told of them: those of GET, and all of
// them in the clear. Two different lengths were accepted.

import { assert, assertEquals } from "@std/assert";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawHttp2Client } from "../support/raw_http2.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";

type Fields = [name: string, value: string][];

function fields(scheme: "http" | "https", method: string, more: Fields = []): Fields {
  return [[":method", method], [":scheme", scheme], [":authority", "x"], [":path", "/x"], ...more];
}

/** Runs a test over TLS and in the clear, where the proxy wants `Host` of HTTP/2 too. */
function testBoth(
  name: string,
  test: (parts: { proxy: TestProxy; backend: RecordingBackend; open: Open; head: Head }) => Promise<void>,
): void {
  for (const scheme of ["https", "http"] as const) {
    Deno.test(`${scheme}: ${name}`, async () => {
      using directory = new TemporaryDirectory();
      const authority = await makeAuthority();
      const tls = directory.writePair(await makePair({ authority }));
      const secure = scheme === "https";
      await using backend = new RecordingBackend();
      const door = secure ? { tls } : {};
      await using proxy = await TestProxy.start({ engine: "fetch", proxy: door, backends: [backend.url] });
      const open = () => RawHttp2Client.connect(proxy.port, secure ? authority : undefined);
      const head = (method: string, more: Fields = []) =>
        fields(scheme, method, secure ? more : [["host", "x"], ...more]);
      await test({ proxy, backend, open, head });
      await proxy.idle();
      assertEquals(backend.violations, []);
    });
  }
}

type Open = () => Promise<RawHttp2Client>;
type Head = (method: string, more?: Fields) => Fields;

testBoth("a body of which no header tells reaches the backend over HTTP/2", async ({ backend, open, head }) => {
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]) {
    for (const parts of [["hello"], ["he", "", "llo"], ["", "hello", ""]]) {
      using client = await open();
      assertEquals(await client.request(head(method), parts), { status: 200, body: `${method} /x 5` });
      assertEquals(new TextDecoder().decode(backend.last.body), "hello");
    }
    for (const parts of [undefined, [""], ["", ""]]) {
      using client = await open();
      assertEquals(await client.request(head(method), parts), { status: 200, body: `${method} /x 0` });
    }
  }
});

testBoth(
  "GET and HEAD with a body over HTTP/2 get 501, without one they are served",
  async ({ backend, open, head }) => {
    for (const method of ["GET", "HEAD"]) {
      for (const parts of [["hello"], ["", "hello"], ["hello", ""]]) {
        using client = await open();
        assertEquals((await client.request(head(method), parts)).status, 501, `${method} ${parts}`);
      }
      assertEquals(backend.requests, []);
      for (const parts of [undefined, [""], ["", ""]]) {
        using client = await open();
        assertEquals((await client.request(head(method), parts)).status, 200, `${method} ${parts}`);
      }
      backend.requests.length = 0;
    }
  },
);

testBoth("more than one length over HTTP/2 is refused, a length is passed on", async ({ backend, open, head }) => {
  for (const [first, second] of [["5", "6"], ["5", "5"], ["6", "5"]] as const) {
    using client = await open();
    const answer = await client.request(head("POST", [["content-length", first], ["content-length", second]]), [
      "hello",
    ]);
    assert(answer.status === 400 || answer.status === "reset", `${first}, ${second}: ${answer.status}`);
  }
  assertEquals(backend.requests, []);
  using client = await open();
  assertEquals((await client.request(head("POST", [["content-length", "5"]]), ["hello"])).body, "POST /x 5");
  assertEquals(backend.last.framing, "length");
});

testBoth("an upload of known length that ends early over HTTP/2 is the client's affair", async (parts) => {
  const { proxy, backend, open, head } = parts;
  using client = await open();
  const answer = await client.request(head("POST", [["content-length", "6"]]), ["hello"]);
  assertEquals(answer.status === 200, false);
  await proxy.idle();
  assert(backend.requests.every(({ complete }) => !complete));
  assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true]);
});

Deno.test("HTTP/2 in the clear without Host gets 400", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await TestProxy.start({ engine: "fetch", backends: [backend.url] });
  for (const [method, parts] of [["GET", undefined], ["POST", ["hello"]]] as const) {
    using client = await RawHttp2Client.connect(proxy.port);
    assertEquals((await client.request(fields("http", method), parts)).status, 400);
  }
  assertEquals(backend.requests, []);
});

// Engine wire passes on what it was given, byte for byte: what no other engine does, so that no shared test asks for it.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { ask, get, within } from "../conformance/engine_under_test.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { concat, headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

function startWire(settings: ConfigFile): Promise<TestProxy> {
  return TestProxy.start({ engine: "wire", ...settings });
}

/** Everything that comes until `text` has. */
async function until(client: RawClient, text: string): Promise<string> {
  let got = "";
  while (!got.includes(text)) {
    const more = await within(client.chunk(), JSON.stringify(text));
    assert(more.length > 0, `closed behind ${JSON.stringify(got)}`);
    got += new TextDecoder("latin1").decode(more);
  }
  return got;
}

Deno.test("targets reach the backend untouched; raw bytes, spaces and fragments are refused", async () => {
  await using backend = new RecordingBackend(({ target }) => ok(target));
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const targets = [
    "/a/../b/./c//d/",
    "//other.example/x",
    "/..",
    "/%2e%2E/%2f%5c",
    "/%zz%",
    "/\\back\\slash",
    '/"<>`{}|^[]',
    "/?",
    "/??a=b&&c=%00?",
    "/;p=1/:x@y",
    `/${"long/".repeat(1000)}`,
    "/~!$&'()*+,=",
  ];
  for (const target of targets) assertEquals(textOf(await ask(client, get(target))), target);
  assertEquals(backend.requests.map(({ target }) => target), targets);
  for (const target of ["/a b", "/\t", "/#fragment", "/\x7f", "/\x00", "relative", "", "*"]) {
    using other = await RawClient.connect(proxy.port);
    assertEquals((await ask(other, get(target))).status, 400, JSON.stringify(target));
  }
  using other = await RawClient.connect(proxy.port);
  const raw = concat([bytesOf("GET /"), Uint8Array.of(0xc3, 0xa9), bytesOf(" HTTP/1.1\r\nHost: x\r\n\r\n")]);
  assertEquals((await ask(other, raw)).status, 400);
  assertEquals(backend.requests.length, targets.length);
  client.close();
  await proxy.idle();
});

Deno.test("header names keep their case, fields their order, repetition and bytes, both ways; so does the reason", async () => {
  const odd = "X-Odd: \xe9\xff  two  spaces\t\ttabs \"'\\,;=\r\n";
  const lines =
    "ACCEPT: a\r\nx-mIxEd: 1\r\nX-B: 1\r\nx-a: 1\r\nX-B: 2\r\nX-Empty:\r\nX-b: 3\r\nCookie: a=1\r\ncookie: b=2\r\n" +
    odd;
  const answer = "HTTP/1.1 210 Really \xfcber Fine\r\n" +
    "SERVER: me\r\nset-cookie: a=1\r\nX-B: 1\r\nSet-Cookie: b=2\r\nx-b: 2\r\n" + odd + "content-LENGTH: 2\r\n\r\nok";
  const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
  await using backend = new RecordingBackend(() => latin1(answer));
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(latin1(`GET / HTTP/1.1\r\nhOST: x\r\n${lines}\r\n`));
  const head = await until(client, "\r\n\r\nok");
  const [statusLine, ...fields] = head.split("\r\n");
  assertEquals(statusLine, "HTTP/1.1 210 Really \xfcber Fine");
  const expected = (answer.split("\r\n\r\n")[0] ?? "").split("\r\n").slice(1).map((line) => line.replace(/ *$/, ""));
  assertEquals(fields.slice(0, expected.length), expected);
  assertEquals(fields.slice(expected.length).map((line) => line.replace(/:.*/, "")), ["x-request-id", "", "ok"]);
  const seen = backend.last.headers.map(([name, value]) => `${name}:${value === "" ? "" : ` ${value}`}`);
  const given = ["hOST: x", ...lines.split("\r\n").slice(0, -1)];
  assertEquals(seen.slice(0, given.length), given);
  const added = ["traceparent", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"];
  assertEquals(backend.last.headers.slice(given.length).map(([name]) => name), added);
  client.close();
  await proxy.idle();
});

Deno.test("an empty reason stays empty, and one of words that nobody expects stays", async () => {
  const lines = ["HTTP/1.1 200 ", "HTTP/1.1 200 Not Found", "HTTP/1.1 999 \t!?"];
  let turn = 0;
  await using backend = new RecordingBackend(() => `${lines[turn++]}\r\nContent-Length: 0\r\n\r\n`);
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  for (const line of lines) assertEquals((await ask(client, get("/"))).head.split("\r\n")[0], line);
});

Deno.test("Accept-Encoding and encoded bodies cross byte for byte", async () => {
  const gzip = new Uint8Array(
    await new Response(new Blob(["x".repeat(100_000)]).stream().pipeThrough(new CompressionStream("gzip")))
      .arrayBuffer(),
  );
  const head =
    `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: ${gzip.length}\r\n\r\n`;
  await using backend = new RecordingBackend(() => concat([bytesOf(head), gzip]));
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  for (const accepted of ["gzip;q=0.5, br , *;q=0", ""]) {
    const response = await ask(client, get("/", `accept-encoding: ${accepted}\r\n`));
    assertEquals([headerOf(response, "content-encoding"), response.body], ["gzip", gzip]);
    assertEquals(valuesOf(backend.last, "accept-encoding"), [accepted.trim()]);
  }
  await ask(client, get("/"));
  assertEquals(valuesOf(backend.last, "accept-encoding"), []);
});

Deno.test("chunks, their extensions and trailers cross as they are, both ways", async () => {
  const chunks =
    '005;a=b;c="d e"\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n000;last\r\nX-Sum: 1\r\nx-SUM: 2\r\n\r\n';
  await using backend = new RawBackend(async (connection) => {
    await connection.until("\r\n\r\n");
    await connection.until("x-SUM: 2\r\n\r\n");
    await connection.send(`HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (const character of chunks) await connection.send(character);
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(`POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n`);
  for (let at = 0; at < chunks.length; at += 7) await client.send(chunks.slice(at, at + 7));
  const answer = await until(client, "x-SUM: 2\r\n\r\n");
  assertEquals(answer.slice(answer.indexOf("\r\n\r\n") + 4), chunks);
  assert(/^Trailer: X-Sum\r$/m.test(answer), answer);
  const seen = backend.received;
  assertEquals(seen.slice(seen.indexOf("\r\n\r\n") + 4), chunks);
  assert(/^Trailer: X-Sum\r$/m.test(seen), seen);
});

Deno.test("every 103 crosses before the final answer, in order and as it comes, none to HTTP/1.0", async () => {
  const go = Promise.withResolvers<void>();
  await using backend = new RecordingBackend(async (_, connection) => {
    await connection.send(
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n",
    );
    await connection.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </c>\r\n\r\n");
    await go.promise;
    return ok("final");
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send(get("/"));
  const responses = [];
  for (let hint = 0; hint < 3; hint++) responses.push(await within(client.response(), "a hint"));
  assertEquals(
    responses.map((response) => [response?.status, response?.headers.map(([name, value]) => `${name}: ${value}`)]),
    [
      [103, ["Link: </a>", "link: </b>"]],
      [102, []],
      [103, ["Link: </c>"]],
    ],
  );
  go.resolve();
  const final = await within(client.response(), "the answer");
  assertEquals(final && [final.status, textOf(final)], [200, "final"]);
  using old = await RawClient.connect(proxy.port);
  const only = await ask(old, "GET / HTTP/1.0\r\nHost: x\r\n\r\n");
  assertEquals([only.status, textOf(only)], [200, "final"]);
  client.close();
  await proxy.idle();
});

Deno.test("Expect: 100-continue is the backend's to answer: the body waits for it, or for a refusal", async () => {
  const go = Promise.withResolvers<void>();
  await using backend = new RecordingBackend(undefined, {
    async onHead({ target }) {
      if (target !== "/wait") return;
      await go.promise;
      return "HTTP/1.1 100 Continue\r\n\r\n";
    },
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  await client.send("POST /wait HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  await waitFor(() => backend.requests.length === 1, { what: "the head" });
  let heard = false;
  const interim = client.response().then((response) => (heard = true, response));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(heard, false); // the proxy has nothing to say here
  go.resolve();
  assertEquals((await within(interim, "100"))?.status, 100);
  await client.send("body");
  const response = await within(client.response(), "the answer");
  assertEquals(response && textOf(response), "POST /wait 4");
  client.close();
  await proxy.idle();

  await using refusing = new RawBackend(async (connection) => {
    while (await connection.head()) await connection.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
  });
  await using other = await startWire({ backends: [refusing.url] });
  using refused = await RawClient.connect(other.port);
  const head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  const no = await ask(refused, head);
  assertEquals([no.status, headerOf(no, "connection")], [417, "close"]);
  await within(refused.rest(), "the end: whether the body follows is not known");
  await other.idle();
});

Deno.test("HTTP/1.0 clients get what they can read: no chunks, and their connection kept only where they ask and it can be", async () => {
  const answers: Record<string, string> = {
    "/length": ok("whole"),
    "/chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nwho\r\n2\r\nle\r\n0\r\nX-Sum: 1\r\n\r\n",
    "/close": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole",
  };
  await using backend = new RecordingBackend(({ target }) => {
    return target === "/close" ? undefined : answers[target] ?? ok("");
  }, {
    onHead: ({ target }) => target === "/close" ? answers[target] ?? "" : undefined,
  });
  await using proxy = await startWire({ backends: [backend.url] });
  for (const target of ["/length", "/chunks", "/close"]) {
    for (const lines of ["", "Connection: keep-alive\r\n", "Connection: close\r\n"]) {
      using client = await RawClient.connect(proxy.port);
      const request = `GET ${target} HTTP/1.0\r\nHost: x\r\n${lines}\r\n`;
      const kept = lines.includes("keep-alive") && target === "/length";
      const response = await ask(client, request);
      assertEquals([textOf(response), headerOf(response, "transfer-encoding")], ["whole", undefined], request);
      assertEquals(headerOf(response, "connection"), kept ? "keep-alive" : "close", request);
      if (kept) assertEquals(textOf(await ask(client, request)), "whole");
      else assertEquals(await within(client.closed(), "the end"), true, request);
    }
  }
  // Without a Host the backend is told where the client connected to, as HTTP/1.1 wants one.
  using client = await RawClient.connect(proxy.port);
  assertEquals((await ask(client, "GET /length HTTP/1.0\r\n\r\n")).status, 200);
  assertEquals(valuesOf(backend.last, "host"), [`127.0.0.1:${proxy.port}`]);
  assertEquals(backend.violations, []);
});

Deno.test("a body that ends with its connection becomes chunks for HTTP/1.1, whose connection is kept", async () => {
  await using backend = new RawBackend(async (connection) => {
    await connection.head();
    await connection.send("HTTP/1.0 200 OK\r\n\r\nfirst ");
    await connection.send("second");
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  for (let round = 0; round < 2; round++) {
    const response = await ask(client, get("/"));
    assertEquals([headerOf(response, "transfer-encoding"), textOf(response), response.complete], [
      "chunked",
      "first second",
      true,
    ]);
  }
  assertEquals(proxy.backend(backend.url).totalFailures, 0);
});

Deno.test("pipelined requests are answered in order, one after another, whatever each takes", async () => {
  const delays: Record<string, number> = { "/0": 100, "/1": 0, "/2": 50 };
  let together = 0;
  let most = 0;
  await using backend = new RecordingBackend(async ({ method, target, bodyBytes }) => {
    most = Math.max(most, ++together);
    await new Promise((resolve) => setTimeout(resolve, delays[target] ?? 0));
    together--;
    const text = `${method} ${target} ${bodyBytes}`;
    return ok(method === "HEAD" ? "" : text);
  });
  await using proxy = await startWire({ backends: [backend.url] });
  using client = await RawClient.connect(proxy.port);
  const body = "b".repeat(10_000);
  await client.send(
    get("/0") + `POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
      "HEAD /3 HTTP/1.1\r\nHost: x\r\n\r\n" + get("/2") +
      "PUT /4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
      get("/5", "Connection: close\r\n") +
      get("/never"),
  );
  const got: string[] = [];
  for (const method of ["GET", "POST", "HEAD", "GET", "PUT", "GET"]) {
    const response = await within(client.response(method), "an answer");
    got.push(response === undefined ? "closed" : textOf(response));
  }
  assertEquals(got, ["GET /0 0", "POST /1 10000", "", "GET /2 0", "PUT /4 3", "GET /5 0"]);
  assertEquals(await within(client.closed(), "the end"), true);
  assertEquals([most, backend.requests.some(({ target }) => target === "/never")], [1, false]);
});

Deno.test("OPTIONS * and an absolute target without a path ask the backend's server as a whole", async () => {
  await using backend = new RecordingBackend();
  await using proxy = await startWire({ backends: [`${backend.url}/base`] });
  using client = await RawClient.connect(proxy.port);
  for (const target of ["*", "http://other.example"]) {
    assertEquals((await ask(client, `OPTIONS ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 200);
    assertEquals([backend.last.method, backend.last.target], ["OPTIONS", "*"]);
  }
  assertEquals(valuesOf(backend.last, "host"), ["other.example"]);
});

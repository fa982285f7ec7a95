import { assertEquals } from "@std/assert";
import { type BodyFraming, CHUNKED, NO_BODY, UNTIL_CLOSE } from "../../../src/http1/body.ts";
import { findResponseHeadEnd } from "../../../src/http1/head.ts";
import { type Http1Response, readResponseHead } from "../../../src/http1/response_head.ts";
import { latin1 } from "../../support/http1_stream.ts";
import { assertMalformed } from "../../support/malformed.ts";

/** Reads a head that stands between other bytes. */
function read(head: string, method = "GET"): Http1Response {
  return readResponseHead(latin1(`HTT${head}\r\nX: of the next\r\n`), 3, 3 + head.length, method);
}

Deno.test("readResponseHead() reads everything that an engine has to know", () => {
  const text =
    "HTTP/1.1 404 Not \tF\xf6und\r\nServer: x\r\nCONTENT-LENGTH: 12\r\nSet-Cookie: a\r\nset-cookie: a\r\n\r\n";
  assertEquals(
    read(text),
    {
      status: 404,
      reason: "Not \tF\xf6und",
      fields: [["Server", "x"], ["CONTENT-LENGTH", "12"], ["Set-Cookie", "a"], ["set-cookie", "a"]],
      text,
      bounds: [25, 36, 56, 71, 86],
      bytes: text.length,
      framing: { kind: "length", bytes: 12 },
      keepAlive: true,
      upgrade: undefined,
    },
  );
});

Deno.test("readResponseHead() takes a status line without a reason, with or without the space", () => {
  for (const line of ["HTTP/1.1 200", "HTTP/1.1 200 "]) assertEquals(read(`${line}\r\n\r\n`).reason, "", line);
  for (const status of [100, 599, 999]) assertEquals(read(`HTTP/1.0 ${status} x\r\n\r\n`).status, status);
});

Deno.test("readResponseHead() refuses malformed status lines", () => {
  const table: [line: string, message: RegExp][] = [
    ["HTTP/1.1", /status/],
    ["HTTP/1.1200 OK", /status line/],
    ["HTTP/1.1  200 OK", /status/],
    ["HTTP/1.1 20", /status/],
    ["HTTP/1.1 20 OK", /status/],
    ["HTTP/1.1 2000 OK", /status/],
    ["HTTP/1.1 +20 OK", /status/],
    ["HTTP/1.1 2x0 OK", /status/],
    ["HTTP/1.1 099 OK", /below 100/],
    ["HTTP/1.1 200\tOK", /status/],
    ["HTTP/1.1 200-OK", /status/],
    ["HTTP/1.1 200 O\0K", /control/],
    ["HTTP/1.1 200 O\rK", /control/],
    ["HTTP/1.1 200 O\nK", /colon/],
    ["HTTP/1.1 200 O\x7fK", /control/],
    ["HTTP/1.2 200 OK", /version/],
    ["HTTP/2 200 OK", /version/],
    ["http/1.1 200 OK", /version/],
    ["ICY 200 OK", /version/],
    [" HTTP/1.1 200 OK", /version/],
    ["\r\nHTTP/1.1 200 OK", /version/],
  ];
  for (const [line, message] of table) {
    assertMalformed(() => read(`${line}\r\nContent-Length: 0\r\n\r\n`), message, JSON.stringify(line));
  }
});

Deno.test("readResponseHead() knows how the body is framed (RFC 9112 §6.3)", () => {
  const length: BodyFraming = { kind: "length", bytes: 5 };
  const table: [status: number, method: string, line: string, framing: BodyFraming][] = [
    [200, "GET", "", UNTIL_CLOSE],
    [200, "GET", "Content-Length: 5\r\n", length],
    [200, "GET", "Transfer-Encoding: Chunked\r\n", CHUNKED],
    [200, "CONNECT", "Content-Length: 5\r\n", length],
    [500, "POST", "", UNTIL_CLOSE],
    ...[100, 101, 103, 199, 204, 304].flatMap((status): [number, string, string, BodyFraming][] => [
      [status, "GET", "", NO_BODY],
      [status, "GET", "Content-Length: 5\r\n", NO_BODY],
      [status, "GET", "Transfer-Encoding: chunked\r\n", NO_BODY],
    ]),
    [200, "HEAD", "", NO_BODY],
    [404, "HEAD", "Content-Length: 5\r\n", NO_BODY],
    [200, "HEAD", "Transfer-Encoding: chunked\r\n", NO_BODY],
  ];
  for (const [status, method, line, framing] of table) {
    assertEquals(read(`HTTP/1.1 ${status} x\r\n${line}\r\n`, method).framing, framing, `${method} ${status} ${line}`);
  }
});

Deno.test("readResponseHead() refuses malformed framing even where there is no body", () => {
  for (const [status, method] of [[200, "GET"], [200, "HEAD"], [204, "GET"], [304, "GET"]] as const) {
    for (const line of ["Content-Length: x", "Content-Length: 1\r\nContent-Length: 2", "Transfer-Encoding: gzip"]) {
      assertMalformed(() => read(`HTTP/1.1 ${status} x\r\n${line}\r\n\r\n`, method), /./, `${status} ${line}`);
    }
  }
});

Deno.test("readResponseHead() knows whether the connection goes on, and what a 101 switches to", () => {
  assertEquals(read("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").keepAlive, false);
  assertEquals(read("HTTP/1.0 200 OK\r\n\r\n").keepAlive, false);
  assertEquals(read("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n").keepAlive, true);
  assertEquals(read("HTTP/1.0 200 OK\r\nConnection: Keep-Alive, close\r\n\r\n").keepAlive, false);
  assertEquals(read("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: foo/2\r\n\r\n").upgrade, "foo/2");
  assertEquals(read("HTTP/1.1 101 x\r\nUpgrade: foo/2\r\n\r\n").upgrade, undefined);
});

Deno.test("readResponseHead() takes any number of fields", () => {
  assertEquals(read(`HTTP/1.1 200 OK\r\n${"Set-Cookie: a\r\n".repeat(500)}\r\n`).fields.length, 500);
});

// `python3 -m http.server --cgi` passes a script's lines on as they are, in LF alone: each such page was 502.
Deno.test("readResponseHead() reads lines that end in LF alone, and gives them as they should have been", () => {
  const text = "HTTP/1.0 200 OK\r\nServer: x\r\nContent-Type: text/plain\nX: 1\nContent-Length: 3\n\r\n";
  for (const given of [text, text.replaceAll("\r", ""), text.replace("\n\r\n", "\n\n")]) {
    const head = read(given);
    assertEquals(head.text, text.replace(/\r?\n/g, "\r\n"));
    assertEquals(head.bytes, given.length);
    assertEquals(head.fields.map(([name]) => name), ["Server", "Content-Type", "X", "Content-Length"]);
    assertEquals(
      head.fields.map((_, index) => head.text.slice(head.bounds[index], head.bounds[index + 1]))[1],
      "Content-Type: text/plain\r\n",
    );
    assertEquals(head.framing, { kind: "length", bytes: 3 });
  }
});

Deno.test("readResponseHead() finds the end of a head in LF alone before what looks like one in the body", () => {
  const head = "HTTP/1.0 200 OK\nContent-Length: 9\n\n";
  const bytes = latin1(`${head}a\r\n\r\nbcd`);
  const end = findResponseHeadEnd(bytes, 0, 0, bytes.length);
  assertEquals(readResponseHead(bytes, 0, end, "GET").bytes, head.length);
  assertEquals(findResponseHeadEnd(bytes, 0, 0, head.length), head.length);
  assertEquals(findResponseHeadEnd(bytes, 0, 0, head.length - 1), -1);
});

Deno.test("readResponseHead() stays strict in all else", () => {
  for (const head of ["HTTP/1.1 200 OK\nX: a\rb\n\n", "HTTP/1.1 200 OK\n folded\n\n", "HTTP/1.1 200 OK\nX : y\n\n"]) {
    assertMalformed(() => read(head), /./, JSON.stringify(head));
  }
});

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CHUNKED, NO_BODY } from "../../../src/http1/body.ts";
import type { Field } from "../../../src/http1/head.ts";
import { MalformedMessage } from "../../../src/http1/malformed.ts";
import {
  checkBeginning,
  type Http1Request,
  MOST_REQUEST_FIELDS,
  readRequestHead,
} from "../../../src/http1/request_head.ts";
import { latin1 } from "../../support/http1_stream.ts";
import { assertMalformed } from "../../support/malformed.ts";

/** Reads a head that stands between other bytes. */
function read(head: string): Http1Request {
  return readRequestHead(latin1(`GET ${head}\r\nHost: of the next\r\n`), 4, 4 + head.length);
}

Deno.test("readRequestHead() reads everything that an engine has to know", () => {
  const text = "POST /a?b=c HTTP/1.1\r\nHOST: h:81\r\nContent-Length: 7\r\nX: 1\r\n\r\n";
  assertEquals(read(text), {
    method: "POST",
    target: "/a?b=c",
    authority: "h:81",
    minorVersion: 1,
    fields: [["HOST", "h:81"], ["Content-Length", "7"], ["X", "1"]],
    text,
    bounds: [22, 34, 53, 59],
    framing: { kind: "length", bytes: 7 },
    keepAlive: true,
    upgrade: undefined,
  });
});

Deno.test("readRequestHead() reads the four forms of a target, and leaves each byte of it", () => {
  const table: [line: string, target: string, authority: string][] = [
    ["GET /", "/", "h"],
    ['GET //two/../%2e%2E?a=%zz&b[]={|}^\\"<>`', '//two/../%2e%2E?a=%zz&b[]={|}^\\"<>`', "h"],
    ["GET /http://x", "/http://x", "h"],
    ["GET http://a:81/p?q", "/p?q", "a:81"],
    ["GET HTTPS://a", "/", "a"],
    ["GET http://a?q/r", "/?q/r", "a"],
    ["GET http://", "/", ""],
    ["GET http://u@a/", "/", "u@a"],
    ["OPTIONS *", "*", "h"],
    ["OPTIONS http://a:81", "*", "a:81"],
    ["OPTIONS http://a?q", "/?q", "a"],
    ["OPTIONS http://a/", "/", "a"],
    ["CONNECT a:443", "a:443", "h"],
  ];
  for (const [line, target, authority] of table) {
    const request = read(`${line} HTTP/1.1\r\nHost: h\r\n\r\n`);
    assertEquals([request.target, request.authority], [target, authority], line);
  }
});

Deno.test("readRequestHead() refuses malformed request lines", () => {
  const table: [line: string, message: RegExp][] = [
    [" GET / HTTP/1.1", /method/],
    ["GET  / HTTP/1.1", /target/],
    ["GET\t/ HTTP/1.1", /method/],
    ["G(T / HTTP/1.1", /method/],
    ["G\x80T / HTTP/1.1", /method/],
    ["GET", /method/],
    ["GET /", /target/],
    ["GET / ", /version/],
    ["GET /  HTTP/1.1", /version/],
    ["GET /\tHTTP/1.1", /target/],
    ["GET /a#b HTTP/1.1", /target/],
    ["GET /\x80 HTTP/1.1", /target/],
    ["GET /\x7f HTTP/1.1", /target/],
    ["GET /\0 HTTP/1.1", /target/],
    ["GET a HTTP/1.1", /target/],
    ["GET ?q HTTP/1.1", /target/],
    ["GET * HTTP/1.1", /OPTIONS/],
    ["GET ftp://a/ HTTP/1.1", /target/],
    ["GET http:/a HTTP/1.1", /target/],
    ["GET http HTTP/1.1", /target/],
    ["GET / HTTP/1.2", /version/],
    ["GET / HTTP/2.0", /version/],
    ["GET / HTTP/0.9", /version/],
    ["GET / http/1.1", /version/],
    ["GET / HTTP/1.10", /control/],
    ["GET / HTTP/1.1 ", /control/],
    ["GET / HTTP/1.1\r", /control/],
    ["\r\nGET / HTTP/1.1", /method/],
  ];
  for (const [line, message] of table) {
    assertMalformed(() => read(`${line}\r\nHost: h\r\n\r\n`), message, JSON.stringify(line));
  }
  assertMalformed(() => read("GET / HTTP/1.1\nHost: h\r\n\r\n"), /control/, "bare LF");
  assertMalformed(() => read("\r\n\r\n"), /method/, "nothing at all");
});

Deno.test("readRequestHead() wants one Host of HTTP/1.1, and at most one of HTTP/1.0", () => {
  assertEquals(read("GET / HTTP/1.0\r\n\r\n").authority, undefined);
  assertEquals(read("GET http://a/ HTTP/1.0\r\n\r\n").authority, "a");
  assertEquals(read("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority, ""); // the proxy refuses it
  for (const target of ["/", "http://a/"]) {
    assertMalformed(() => read(`GET ${target} HTTP/1.1\r\nHos: h\r\n\r\n`), /Host .*missing/, target);
    for (const version of ["1.0", "1.1"]) {
      const head = `GET ${target} HTTP/${version}\r\nHost: h\r\nX: 1\r\nhost: h\r\n\r\n`;
      assertMalformed(() => read(head), /more than one Host/, head);
    }
  }
});

Deno.test("readRequestHead() keeps the connection as its version and Connection have it", () => {
  const table: [version: string, connection: string | undefined, keepAlive: boolean][] = [
    ["1.1", undefined, true],
    ["1.1", "keep-alive", true],
    ["1.1", "Close", false],
    ["1.1", "x,\tCLOSE ,y", false],
    ["1.1", "close, keep-alive", false],
    ["1.1", "closed", true],
    ["1.1", "close\xa0", true],
    ["1.0", undefined, false],
    ["1.0", "Keep-Alive", true],
    ["1.0", "keep-alive, x", true],
    ["1.0", "keep-alive, close", false],
    ["1.0", "keep-alive\xa0, x", false],
  ];
  for (const [version, connection, keepAlive] of table) {
    const line = connection === undefined ? "" : `Connection: ${connection}\r\n`;
    assertEquals(read(`GET / HTTP/${version}\r\nHost: h\r\n${line}\r\n`).keepAlive, keepAlive, `${version} ${line}`);
  }
});

Deno.test("readRequestHead() reads a wish to switch from Upgrade and Connection together, of HTTP/1.1 alone", () => {
  const lines = "Host: h\r\nUpgrade: a/1\r\nupgrade: b\r\n";
  assertEquals(read(`GET / HTTP/1.1\r\n${lines}Connection: x\r\nConnection: UPGRADE\r\n\r\n`).upgrade, "a/1,b");
  assertEquals(read(`GET / HTTP/1.1\r\n${lines}Connection: keep-alive\r\n\r\n`).upgrade, undefined);
  assertEquals(read(`GET / HTTP/1.0\r\n${lines}Connection: upgrade\r\n\r\n`).upgrade, undefined);
  assertEquals(read("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n").upgrade, undefined);
});

Deno.test("readRequestHead() takes a request without a length for one without a body", () => {
  for (const method of ["GET", "POST", "FOO"]) {
    assertEquals(read(`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`).framing, NO_BODY);
  }
  assertEquals(read("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").framing, CHUNKED);
});

Deno.test("readRequestHead() refuses more than 128 fields as too large", () => {
  const head = (fields: number) => `GET / HTTP/1.1\r\nHost: h\r\n${"A: 1\r\n".repeat(fields - 1)}\r\n`;
  assertEquals(read(head(MOST_REQUEST_FIELDS)).fields.length, 128);
  assertEquals(assertThrows(() => read(head(MOST_REQUEST_FIELDS + 1)), MalformedMessage).tooLarge, true);
});

Deno.test("readRequestHead() reads what was written, byte for byte", () => {
  const characters = (set: string) => fc.string({ unit: fc.constantFrom(...set) });
  const name = characters("abcXYZ-_09!~").filter((name) => name !== "" && !/^(host|upgrade|connection)$/i.test(name));
  const value = fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)) })
    .map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, "").replace(/^[\t ]+|[\t ]+$/g, ""));
  const field: fc.Arbitrary<Field> = fc.tuple(name, value);
  fc.assert(
    fc.property(characters("abcGET!"), characters("a/?%.*~"), fc.array(field), (method, path, others) => {
      const fields: Field[] = [...others.slice(0, 2), ["hOsT", "h"], ...others.slice(2)];
      const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const request = read(`M${method} /${path} HTTP/1.1\r\n${lines}\r\n`);
      assertEquals([request.method, request.target, request.fields], [`M${method}`, `/${path}`, fields]);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("checkBeginning() refuses at once what is no request, and nothing that may become one", () => {
  const check = (text: string) => checkBeginning(latin1(`\0${text}\0`), 1, 1 + text.length);
  for (const text of ["", "G", "GET", "GET ", "GET \0", "M-SEARCH * ", `${"X".repeat(40)}\0`]) check(text);
  for (const text of [" ", "\r", "\x16\x03\x01", "GE\0", "GET\r\n", "\x80", `${"X".repeat(31)}\0`]) {
    assertMalformed(() => check(text), /method/, JSON.stringify(text));
  }
});

import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChunkedReader } from "../../../src/http1/chunked.ts";
import { latin1 } from "../../support/http1_stream.ts";
import { assertMalformed } from "../../support/malformed.ts";

/** Reads a body, and whatever stands behind it, in pieces of `step` bytes. */
function read(text: string, step = Infinity, mostTrailerBytes = 1000) {
  const reader = new ChunkedReader(mostTrailerBytes);
  const bytes = latin1(text);
  let data = "";
  let at = 0;
  for (let from = 0; from < bytes.length && !reader.done; from += step) {
    const to = Math.min(bytes.length, from + step);
    at = reader.read(bytes, from, to, (_, from, to) => {
      data += text.slice(from, to);
    });
  }
  assertEquals(reader.dataBytes, data.length);
  return { data, done: reader.done, end: at };
}

Deno.test("ChunkedReader reads the data and where the body ends, in pieces of any size", () => {
  const bodies: [text: string, data: string][] = [
    ["0\r\n\r\n", ""],
    ["000\r\n\r\n", ""],
    ["5\r\nhello\r\n0\r\n\r\n", "hello"],
    ["5\r\nhello\r\n10\r\n\r\n0\r\n\r\nGET / \0\xff\x80\r\n0\r\n\r\n", "hello\r\n0\r\n\r\nGET / \0\xff\x80"],
    ["00a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x"],
    ['A;a\r\n0123456789\r\n0;b=c;d="e;\\"\t";f\r\n\r\n', "0123456789"],
    ['1;a="";b="\\\\"\r\nx\r\n0\r\nSum: 1\r\nempty:\r\nSUM:\t\xe9 2 \r\n\r\n', "x"],
  ];
  for (const [text, data] of bodies) {
    for (const step of [1, 2, 3, 5, Infinity]) {
      assertEquals(read(`${text}HTTP/1.1 200`, step), { data, done: true, end: text.length }, `${text} by ${step}`);
    }
    for (let length = 0; length < text.length; length++) {
      assertEquals(read(text.slice(0, length)).done, false, `${length} bytes of ${text}`);
    }
  }
});

// RFC 9112 section 7.1.1 allows spaces around the semicolon of an extension; a client that sends them got 400.
Deno.test("ChunkedReader takes spaces around an extension's semicolon, and mends them", () => {
  const lines: [given: string, mended: string][] = [
    ["2 ;a=b", "2;xa=b"],
    ["2; a=b", "2;xa=b"],
    ["2 \t ; \ta=b", "2;xxxxxa=b"],
    ['2;a="b" ; c', '2;a="b";xxc'],
    ["2;a ;b", "2;a;xb"],
  ];
  for (const [given, mended] of lines) {
    for (const step of [1, 2, Infinity]) {
      const text = `${given}\r\nhi\r\n0\r\n\r\n`;
      const bytes = latin1(text);
      const reader = new ChunkedReader(1000);
      for (let from = 0; from < bytes.length; from += step) {
        reader.read(bytes, from, Math.min(from + step, bytes.length));
      }
      assertEquals([reader.done, reader.dataBytes], [true, 2], given);
      assertEquals(bytes.toString("latin1"), text.replace(given, mended));
    }
  }
});

Deno.test("ChunkedReader refuses what another reader could read otherwise", () => {
  const table: [text: string, message: RegExp][] = [
    ...["\r\n", " 5\r\n", "x\r\n", "g", "-5", "+5", ";a\r\n", "\n"].map((text): [string, RegExp] => [text, /size/]),
    ...["5 \r\n", "5\t\r\n", "5 a", "0x5", "5,5", "5\n", "5\rh", "5\0"].map((
      text,
    ): [string, RegExp] => [text, /size/]),
    ...[
      ";\r\n",
      "; \r\n",
      " ;\r\n",
      ";a =b",
      ";a= b",
      ";a=\r\n",
      ";a;;b",
      ";=b",
      ";a=b=c",
      ";a\n",
      ';a="b\n',
      ';a="b\r\n',
      ';"a"',
    ]
      .concat([';a="b"c', ';a="\\\r\n', ";a\x80", ';a="\x7f"', ";a\0"])
      .map((text): [string, RegExp] => [`5${text}`, /extension|size/]),
    ["5\r\nhello0\r\n", /chunk is not followed by CRLF/],
    ["5\r\nhelloX\r\n", /chunk is not followed by CRLF/],
    ["5\r\nhello\n", /chunk is not followed by CRLF/],
    ["5\r\nhello\r\r", /chunk is not followed by CRLF/],
    ["4\r\nhello\r\n", /chunk is not followed by CRLF/],
    ["0\r\n\n", /trailer/],
    ["0\r\n\rx", /body is not followed by CRLF/],
    ...[" a: b", ": b", "a b: c", "a : b", "a\r\n", "a: b\n", "a: b\rc", "a: \0", "a: b\r\n folded"]
      .map((text): [string, RegExp] => [`0\r\n${text}`, /trailer/]),
  ];
  for (const [text, message] of table) {
    for (const step of [1, Infinity]) assertMalformed(() => read(text, step), message, JSON.stringify(text));
  }
});

Deno.test("ChunkedReader refuses trailers that would govern the message", () => {
  // A backend that takes trailers for part of the head would have read another length, host or connection.
  for (const name of ["Content-Length", "TRANSFER-ENCODING", "host", "Connection", "upgrade"]) {
    assertMalformed(() => read(`0\r\nSum: 1\r\n${name}: 5\r\n\r\n`), /in the trailers/, name);
    assertEquals(read(`0\r\nX-${name}: 5\r\n${name}s: 5\r\nh: ${name}:\r\n\r\n`).done, true, name);
  }
});

Deno.test("ChunkedReader refuses sizes beyond counting, lines without end and long trailers", () => {
  assertEquals(read("1000000000000\r\nx"), { data: "x", done: false, end: 16 });
  for (const size of ["1000000000001", "ffffffffffffffff", "10000000000000000", "9".repeat(300)]) {
    assertMalformed(() => read(`${size}\r\n`), /too large/, size);
  }
  assertEquals(read(`${"0".repeat(4095)}1\r\nx\r\n`).data, "x");
  assertEquals(read(`1;${"a".repeat(3000)}\r\nx\r\n`.repeat(3)).data, "xxx");
  assertMalformed(() => read("0".repeat(4097)), /line is too long/, "zeros");
  assertMalformed(() => read(`1;${"a".repeat(4096)}`), /line is too long/, "an extension");
  assertEquals(read("0\r\na: b\r\n\r\n", 1, 8).done, true);
  assertMalformed(() => read("0\r\na: bc\r\n\r\n", 1, 8), /trailers are too long/, "trailers");
});

Deno.test("ChunkedReader refuses a body that is mostly extensions, however many chunks it has", () => {
  // A line's limit alone let a client send 4 KiB for each byte that maxBodySize counted, without end.
  const excess = (bytes: number, data: string) => {
    const size = data.length.toString(16);
    return `${size};${"a".repeat(bytes + 16 + 2 * data.length - size.length - 5)}\r\n${data}\r\n`;
  };
  for (const data of ["x", "x".repeat(100)]) {
    const most = excess(2048, data).repeat(8); // 16 KiB
    assertEquals(read(most).data, data.repeat(8));
    for (const step of [1, 1000, Infinity]) {
      assertMalformed(() => read(`${most}1;${"a".repeat(20)}\r\n`, step), /framing/, `by ${step}`);
    }
  }
  // Data excuses what came before it; nothing is saved up for what comes after.
  const much = `2710\r\n${"x".repeat(10_000)}\r\n`;
  assertEquals(read(`${excess(2000, "x").repeat(8)}${much}`.repeat(8)).data.length, 8 * 10_008);
  assertMalformed(() => read(`${much.repeat(10)}${excess(3000, "x").repeat(6)}`), /framing/, "after much data");
  // A byte at a time is as it may be.
  assertEquals(read("1\r\nx\r\n".repeat(20_000)).data.length, 20_000);
});

// The name of a trailer may come in one read and its value in the next: what is decided late must still be whole.
Deno.test("ChunkedReader drops trailers as it is told and keeps the others, in pieces of any size", () => {
  const line = fc.record({
    name: fc.constantFrom("a", "Sum", "drop-a", "Drop", "x-sum-of-all"),
    value: fc.constantFrom("", " 1", " drop: x", "\t\xe9"),
  });
  const isDropped = (name: string) => name.toLowerCase().startsWith("drop");
  const section = (lines: { name: string; value: string }[]) =>
    lines.map(({ name, value }) => `${name}:${value}\r\n`).join("");
  fc.assert(fc.property(fc.array(line, { maxLength: 6 }), fc.integer({ min: 1, max: 40 }), (lines, step) => {
    const reader = new ChunkedReader(1000, isDropped);
    const bytes = latin1(`2\r\nhi\r\n0\r\n${section(lines)}\r\nGET /`);
    let kept = "";
    let at = 0;
    while (!reader.done) {
      const end = reader.read(bytes, at, Math.min(bytes.length, at + step));
      kept += Buffer.from(reader.kept(bytes, end)).toString("latin1");
      at = end;
    }
    assertEquals(kept, `2\r\nhi\r\n0\r\n${section(lines.filter(({ name }) => !isDropped(name)))}\r\n`);
    assertEquals(bytes.toString("latin1", at), "GET /");
  }));
});

Deno.test("ChunkedReader reads back whatever was put into chunks", () => {
  const chunk = fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 40 });
  fc.assert(fc.property(fc.array(chunk), fc.integer({ min: 1, max: 9 }), (chunks, step) => {
    const text = chunks.map((data) => `${data.length.toString(16)}\r\n${data}\r\n`).join("") + "0\r\n\r\n";
    assertEquals(read(`${text}rest`, step), { data: chunks.join(""), done: true, end: text.length });
  }));
});

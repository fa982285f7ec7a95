import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { findHeadEnd, headText, readFields } from "../../../src/http1/head.ts";
import { MalformedMessage } from "../../../src/http1/malformed.ts";
import { latin1 } from "../../support/http1_stream.ts";
import { assertMalformed } from "../../support/malformed.ts";

function fieldsOf(lines: string, most = 128) {
  const bytes = latin1(`ab${lines}\r\nmore: fields\r\n`);
  const end = 2 + lines.length + 2;
  return readFields(bytes, 2, headText(bytes, 2, end), 2, most).fields;
}

Deno.test("findHeadEnd() finds the first empty line, whatever stands before it and however often it is asked", () => {
  const pieces = fc.array(fc.constantFrom("\r", "\n", "\r\n", "\r\n\r\n", "a", "bc", "\v"), { maxLength: 14 });
  fc.assert(
    fc.property(pieces, fc.nat({ max: 3 }), fc.array(fc.nat({ max: 9 })), (pieces, start, steps) => {
      const text = pieces.join("");
      // What would make an empty line with its beginning or its end is not of this head.
      const bytes = latin1(`${"\r\n\r".slice(3 - start)}${text}\r\n\r\n`);
      const end = start + text.length;
      let found = -1;
      let refused = false;
      let from = start;
      for (const step of [...steps, text.length]) {
        const to = Math.min(end, from + step);
        try {
          found = findHeadEnd(bytes, start, from, to);
        } catch (error) {
          refused = error instanceof MalformedMessage;
        }
        from = to;
        if (found !== -1 || refused) break;
      }
      const at = text.indexOf("\r\n\r\n");
      const bareLf = text.search(/(?<!\r)\n/);
      // A head with a bare LF in it may be refused here, or found and refused by whoever reads it.
      if (bareLf === -1 || (at !== -1 && at < bareLf)) assertEquals(refused, false);
      if (bareLf === -1 || !refused) assertEquals(found, at === -1 ? -1 : start + at + 4);
      if (at === -1) assertEquals(refused, bareLf !== -1);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("readFields() keeps names' case, order and duplicates, and every byte of the values", () => {
  const every = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(0x80 + code)).join("");
  assertEquals(
    fieldsOf(`X-b: 1\r\nx-B:2\r\nA:\t \r\nA: in\t the  middle \t\r\n!#$%&'*+-.^_\`|~0: "q:;,"\r\nBytes: ${every}\r\n`),
    [
      ["X-b", "1"],
      ["x-B", "2"],
      ["A", ""],
      ["A", "in\t the  middle"],
      ["!#$%&'*+-.^_`|~0", '"q:;,"'],
      ["Bytes", every],
    ],
  );
});

Deno.test("readFields() tells where each line stands in the text", () => {
  const text = "GET / HTTP/1.1\r\nA:1\r\nBc: \t 2 \r\n\r\n";
  const { bounds } = readFields(latin1(`before${text}after`), 6, text, 6 + 16, 128);
  assertEquals(bounds.map((bound, index) => text.slice(bounds[index - 1] ?? 0, bound)), [
    "GET / HTTP/1.1\r\n",
    "A:1\r\n",
    "Bc: \t 2 \r\n",
  ]);
});

Deno.test("readFields() refuses what is not a field line", () => {
  const refused: [lines: string, message: RegExp][] = [
    ["A : 1\r\n", /colon/],
    ["A\t: 1\r\n", /colon/],
    ["A\r\n", /colon/],
    ["A b: 1\r\n", /colon/],
    ["A\x80: 1\r\n", /colon/],
    ["A\0: 1\r\n", /colon/],
    [": 1\r\n", /name is malformed/],
    ["é: 1\r\n", /name is malformed/],
    ["A: 1\r\n folded\r\n", /folded/],
    ["A: 1\r\n\tfolded\r\n", /folded/],
    [" A: 1\r\n", /folded/],
    ["A: 1\nB: 2\r\n", /control character/],
    ["A: 1\rB: 2\r\n", /control character/],
    ["A: 1\r\r\n", /control character/],
    ["A: 1\r\n\n", /name is malformed/],
    ...["\0", "\x01", "\b", "\v", "\f", "\x1b", "\x1f", "\x7f"].map((control): [string, RegExp] => [
      `A: 1${control}2\r\n`,
      /control character/,
    ]),
  ];
  for (const [lines, message] of refused) assertMalformed(() => fieldsOf(lines), message, JSON.stringify(lines));
});

Deno.test("readFields() takes as many fields as it may, and says of more that the head is too large", () => {
  assertEquals(fieldsOf("A: 1\r\n".repeat(3), 3).length, 3);
  const error = assertThrows(() => fieldsOf("A: 1\r\n".repeat(4), 3), MalformedMessage);
  assertEquals(error.tooLarge, true);
});

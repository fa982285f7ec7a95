import { assertEquals, assertStrictEquals } from "@std/assert";
import { CHUNKED, framingOf, NO_BODY, parseLength } from "../../../src/http1/body.ts";
import { assertMalformed } from "../../support/malformed.ts";

Deno.test("parseLength() reads up to 15 digits exactly", () => {
  const table: [string, number][] = [["0", 0], ["7", 7], ["007", 7], ["999999999999999", 999_999_999_999_999]];
  for (const [text, number] of table) assertEquals(parseLength(text), number, text);
});

Deno.test("parseLength() refuses anything but digits, and more than it could count", () => {
  const refused = [
    "",
    " ",
    "+5",
    "-5",
    "-0",
    "5 ",
    " 5",
    "5,5",
    "5, 5",
    "5;",
    "0x5",
    "5e1",
    "5.0",
    "5_0",
    "\u0665",
    "\xb2",
  ];
  for (const text of [...refused, "1000000000000000", "0".repeat(16), "18446744073709551616", "9".repeat(400)]) {
    assertMalformed(() => parseLength(text), /Content-Length/, JSON.stringify(text));
  }
});

Deno.test("framingOf() takes one statement or none", () => {
  assertStrictEquals(framingOf(undefined, undefined, 1), undefined);
  assertStrictEquals(framingOf(0, undefined, 1), NO_BODY);
  assertEquals(framingOf(5, undefined, 0), { kind: "length", bytes: 5 });
  for (const coding of ["chunked", "Chunked", "CHUNKED"]) assertStrictEquals(framingOf(undefined, coding, 1), CHUNKED);
});

Deno.test("framingOf() refuses both, any coding but chunked, and chunks in HTTP/1.0", () => {
  for (const length of [0, 5]) assertMalformed(() => framingOf(length, "chunked", 1), /both/, String(length));
  assertMalformed(() => framingOf(undefined, "chunked", 0), /HTTP\/1.0/, "1.0");
  const codings = [
    "",
    "gzip",
    "identity",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "chunked,",
    ",chunked",
  ];
  for (const coding of [...codings, "chunked;a=b", '"chunked"', "chunked\v", "\x0bchunked", "chunked\xa0", "chunke"]) {
    assertMalformed(() => framingOf(undefined, coding, 1), /other than chunked/, JSON.stringify(coding));
  }
});

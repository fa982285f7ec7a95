import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { readAsTyped, substitute } from "../../../src/config/environment.ts";

const VARIABLES = new Map([["HOST", "h"], ["PORT", "9001"], ["EMPTY", ""], ["REF", "${HOST}"], ["_a1", "low"]]);
const env = (name: string) => VARIABLES.get(name);

Deno.test("substitute() replaces references anywhere in a text", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["${HOST}", "h"],
    ["http://${HOST}:${PORT}/x", "http://h:9001/x"],
    ["${_a1}", "low"],
    ["${NOPE:-x}", "x"],
    ["${NOPE:-}", ""],
    ["${NOPE:-a:-b $ {}", "a:-b $ {"],
    ["${HOST:-x}", "h"],
    ["${EMPTY:-x}", "x"],
    ["${EMPTY}", ""],
    ["$HOST {HOST} $ $$ {}", "$HOST {HOST} $ $$ {}"],
    ["a${HOST}b${HOST}c", "ahbhc"],
  ];
  for (const [text, expected] of cases) {
    assertEquals(substitute([text], env), {
      value: [expected],
      diagnostics: [],
      references: substitute([text], env).references,
    });
  }
});

Deno.test("substitute() does not look for references in what a variable says", () => {
  assertEquals(substitute({ a: "${REF}" }, env).value, { a: "${HOST}" });
});

Deno.test("substitute() leaves keys and everything but texts alone", () => {
  const raw = { "${HOST}": [1, true, null, { deep: "${HOST}" }] };
  assertEquals(substitute(raw, env).value, { "${HOST}": [1, true, null, { deep: "h" }] });
  assertEquals(raw["${HOST}"][3], { deep: "${HOST}" });
});

Deno.test("substitute() tells of unset variables with their paths", () => {
  assertEquals(substitute({ a: ["x", "${NOPE}-${NEITHER}"] }, env).diagnostics, [
    { path: ["a", 1], text: "environment variable NOPE is not set; environment variable NEITHER is not set" },
  ]);
});

Deno.test("substitute() refuses what looks like a reference and is none", () => {
  for (const text of ["${", "${}", "${HOST", "${1A}", "${A-B}", "${A:-${HOST}}", "x ${HOST} ${ HOST }", "${HOST:x}"]) {
    const { diagnostics, value } = substitute({ a: text }, env);
    assertEquals(diagnostics.map(({ path }) => path), [["a"]], text);
    assertEquals(value, { a: text });
  }
});

Deno.test("readAsTyped() turns a variable's text into the number or truth value that it spells", () => {
  const { value, references } = substitute(
    { a: "${PORT}", b: ["${T:-true}", "${N:--1.5}"], c: "1${PORT}", d: "7" },
    env,
  );
  assertEquals(references, [["a"], ["b", 0], ["b", 1]]);
  readAsTyped(value, references);
  assertEquals(value, { a: 9001, b: [true, -1.5], c: "19001", d: "7" });
  const text = { a: "0x10", b: "1e3", c: "" };
  readAsTyped(text, [["a"], ["b"], ["c"], ["missing", 1]]);
  assertEquals(text, { a: "0x10", b: "1e3", c: "" });
});

Deno.test("substitute() changes nothing in values without a reference", () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    fc.pre(!JSON.stringify(value).includes("${") && !JSON.stringify(value).includes("__proto__"));
    assertEquals(JSON.stringify(substitute(value, env).value), JSON.stringify(value));
  }));
});

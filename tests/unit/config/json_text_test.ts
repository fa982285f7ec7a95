import { assertEquals, assertThrows } from "@std/assert";
import { parseJsonText } from "../../../src/config/json_text.ts";
import { ConfigError } from "../../../src/errors.ts";

function linesOf(text: string): readonly string[] {
  return assertThrows(() => parseJsonText(text, "c.json"), ConfigError).lines;
}

Deno.test("parseJsonText() takes comments, trailing commas and a byte order mark", () => {
  const text = `\uFEFF// one\n{ /* two */ "a": [1, 2,], "b": { "c": null, }, } // three`;
  assertEquals(parseJsonText(text, "c.json"), { value: { a: [1, 2], b: { c: null } }, diagnostics: [] });
});

Deno.test("parseJsonText() names file, line, column and what was expected", () => {
  const cases: readonly (readonly [string, string])[] = [
    [`{ "a": 1 "b": 2 }`, "c.json:1:10: want a comma"],
    [`{\n  "a": 1\n  "b": 2\n}`, "c.json:3:3: want a comma"],
    [`{\r\n  "a" 1\r\n}`, "c.json:2:7: want a colon"],
    [`{ "a": }`, "c.json:1:8: want a value: an object, a list, text in double quotes, a number, true, false or null"],
    [
      `{ "a": oops }`,
      "c.json:1:8: want a value: an object, a list, text in double quotes, a number, true, false or null",
    ],
    [`{ a: 1 }`, "c.json:1:3: want a setting's name in double quotes"],
    [`{ 5: 1 }`, "c.json:1:3: want a setting's name in double quotes"],
    [`{ "a": 1`, `c.json:1:9: want a closing "}"`],
    [`{ "a": [1`, `c.json:1:10: want a closing "]"`],
    [`{ "a": "x`, "c.json:1:8: want a closing double quote on the same line"],
    [`{ "a": "\\x" }`, `c.json:1:8: want one of " \\ / b f n r t u after a backslash`],
    [`{ "a": "\\u12" }`, "c.json:1:8: want four hexadecimal digits after \\u"],
    [`{ "a": "x\ty" }`, "c.json:1:8: want no control characters in text; write \\n or \\t"],
    [
      `{ "a": -x }`,
      "c.json:1:8: want a value: an object, a list, text in double quotes, a number, true, false or null",
    ],
    [`{} {}`, "c.json:1:4: want nothing after the configuration's last brace"],
    [`{ /* `, "c.json:1:3: want a closing */"],
  ];
  for (const [text, line] of cases) assertEquals(linesOf(text)[0], line, text);
});

Deno.test("parseJsonText() tells of syntax errors on several lines, once for each line", () => {
  assertEquals(linesOf(`{\n "a" 1 2 3,\n "b": 1\n "c": 2\n}`), [
    "c.json:2:6: want a colon",
    "c.json:4:2: want a comma",
  ]);
});

Deno.test("parseJsonText() says so when there is nothing to read", () => {
  for (const text of ["", " \n", "// nothing\n", "\uFEFF"]) {
    assertEquals(linesOf(text), ["c.json: is empty, want an object such as {}"], JSON.stringify(text));
  }
});

Deno.test("parseJsonText() finds keys given twice and keeps the first", () => {
  const { value, diagnostics } = parseJsonText(`{ "a": { "b": 1,\n  "b": 2, "c": [{ "d": 1, "d": 1 }] } }`, "c.json");
  assertEquals(value, { a: { b: 1, c: [{ d: 1 }] } });
  assertEquals(diagnostics, [
    { path: ["a", "b"], text: "given twice, again at c.json:2:3" },
    { path: ["a", "c", 0, "d"], text: "given twice, again at c.json:2:27" },
  ]);
});

Deno.test("parseJsonText() is not harmed by a key __proto__", () => {
  const { value, diagnostics } = parseJsonText(
    `{ "a": { "__proto__": { "polluted": true } }, "constructor": 1 }`,
    "c.json",
  );
  assertEquals(diagnostics, [{ path: ["a", "__proto__"], text: "unknown setting" }]);
  assertEquals(JSON.stringify(value), `{"a":{},"constructor":1}`);
  assertEquals((value as { a: { polluted?: unknown } }).a.polluted, undefined);
});

Deno.test("parseJsonText() survives any depth", () => {
  const [diagnostic] = parseJsonText(`{ "a": ${"[".repeat(60)}${"]".repeat(60)} }`, "c.json").diagnostics;
  assertEquals(diagnostic, { path: ["a"], text: "nested too deeply" });
  assertEquals(linesOf("[".repeat(200_000) + "]".repeat(200_000)), ["c.json: nested too deeply"]);
});

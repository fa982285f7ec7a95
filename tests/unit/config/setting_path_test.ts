import { assertEquals } from "@std/assert";
import { formatPath, isWithin, samePath, setAt, valueAt } from "../../../src/config/setting_path.ts";

Deno.test("formatPath() shows paths the way people write them", () => {
  assertEquals(formatPath([]), "");
  assertEquals(formatPath(["backends", 1, "tls", "ca"]), "backends[1].tls.ca");
  assertEquals(formatPath(["headers", "request", "set", "X-User"]), "headers.request.set.X-User");
  assertEquals(formatPath(["$schema", "a.b", "", 0]), '$schema["a.b"][""][0]');
});

Deno.test("valueAt() finds what is there and nothing inherited", () => {
  const root = { a: [{ b: null }], text: "x" };
  assertEquals(valueAt(root, []), root);
  assertEquals(valueAt(root, ["a", 0, "b"]), null);
  for (
    const path of [["a", 1], ["a", 0, "b", "c"], ["text", "length"], ["toString"], ["__proto__"], ["a", "length", "x"]]
  ) {
    assertEquals(valueAt(root, path), undefined, path.join());
  }
});

Deno.test("setAt() changes only what has a place", () => {
  const root = { a: [{ b: 1 }], text: "x" };
  setAt(root, ["a", 0, "b"], 2);
  setAt(root, ["new"], 3);
  setAt(root, ["missing", "deep"], 4);
  setAt(root, ["text", "deep"], 5);
  setAt(root, [], 6);
  assertEquals<unknown>(root, { a: [{ b: 2 }], text: "x", new: 3 });
});

Deno.test("isWithin() and samePath() compare whole steps", () => {
  assertEquals(isWithin(["a", "b"], ["a"]), true);
  assertEquals(isWithin(["a"], ["a"]), true);
  assertEquals(isWithin(["a"], []), true);
  assertEquals(isWithin(["a"], ["a", "b"]), false);
  assertEquals(isWithin(["ab"], ["a"]), false);
  assertEquals(isWithin(["a", 1], ["a", "1"]), false);
  assertEquals([samePath(["a", 0], ["a", 0]), samePath(["a", 0], ["a"])], [true, false]);
});

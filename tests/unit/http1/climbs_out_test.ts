import { assertEquals } from "@std/assert";
import { climbsOut } from "../../../src/http1/climbs_out.ts";

Deno.test("climbsOut() finds each way above the root, and lets what stays below it pass", () => {
  const out = [
    "/..",
    "/../x",
    "/a/../../x",
    "/%2e%2E/x",
    "/.%2e/x",
    "/..%2fx",
    "/..\\x",
    "/..%5cx",
    "/a//../../x",
    "/..;a=b/x",
    // Whoever does not decode the separator sees one segment that two of `..` lead out of.
    "/a%2fb/../../x",
    "/a%5Cb/../../x",
    "/a\\b/../../x",
    "/a%2f..%2f../x",
  ];
  for (const target of out) assertEquals(climbsOut(target), true, target);
  const within = [
    "/",
    "*",
    "/a/../b",
    "/a/b/../..",
    "/a%2fb/..",
    "/a%2f../b",
    "/...",
    "/..a",
    "/a%20b",
    "/?x=/../..",
    "/a?/../../..",
  ];
  for (const target of within) assertEquals(climbsOut(target), false, target);
});

import { assertEquals } from "@std/assert";
import { cookieValue } from "../../../src/http1/cookie.ts";

Deno.test("cookieValue() finds the first cookie of a name", () => {
  assertEquals(cookieValue("a=1; b=2; b=3", "b"), "2");
  assertEquals(cookieValue('b="2"', "b"), "2");
  assertEquals(cookieValue("ab=1;b=x=y", "b"), "x=y");
  assertEquals(cookieValue("b", "b"), undefined);
  assertEquals(cookieValue("", "b"), undefined);
  assertEquals(cookieValue(undefined, "b"), undefined);
});

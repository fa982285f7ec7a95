import { assertEquals } from "@std/assert";
import { isWellFormedAuthority } from "../../../src/proxy/authority.ts";

Deno.test("isWellFormedAuthority() accepts hosts with and without a port", () => {
  const good = [
    "a",
    "example.com",
    "EXAMPLE.com:80",
    "a_b.example:65535",
    "127.0.0.1:8080",
    "[::1]",
    "[2001:db8::1]:443",
  ];
  for (const text of good) assertEquals(isWellFormedAuthority(text), true, text);
});

Deno.test("isWellFormedAuthority() refuses whatever could be read as more or less than a host", () => {
  const bad = [
    "",
    ":80",
    "a b",
    "a/b",
    "a@b",
    "user:pw@host",
    "a:b",
    "a:1:2",
    "a:123456",
    "[]",
    "[::1",
    "::1",
    "[::1]x",
    "[g::1]",
    "a\tb",
    "a\u0000",
    "a?b",
    "a#b",
    "a\\b",
    "é",
    "a<b>",
    "[]:80",
  ];
  // An empty port (`host:`) is allowed by RFC 3986.
  for (const text of bad) assertEquals(isWellFormedAuthority(text), false, text);
  assertEquals(isWellFormedAuthority("a:"), true);
});

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { nearest } from "../../../src/config/nearest.ts";

const KNOWN = ["host", "port", "workers", "maxBodySize", "maxConnections", "tls"];

Deno.test("nearest() finds the word behind a typing mistake", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["prot", "port"],
    ["pot", "port"],
    ["ports", "port"],
    ["Port", "port"],
    ["worker", "workers"],
    ["maxconections", "maxConnections"],
    ["maxBodysize", "maxBodySize"],
    ["tsl", "tls"],
    ["hostname", "host"],
    ["maxBody", "maxBodySize"],
  ];
  for (const [word, meant] of cases) assertEquals(nearest(word, KNOWN), meant);
});

Deno.test("nearest() suggests nothing for a word that is far from all", () => {
  for (const word of ["", "x", "ho", "max", "backend", "timeout", "hots!!", "maxconnections".repeat(1000)]) {
    assertEquals(nearest(word, KNOWN), undefined, word);
  }
  assertEquals(nearest("port", []), undefined);
});

Deno.test("nearest() finds each word in itself and with any one letter dropped", () => {
  fc.assert(fc.property(fc.constantFrom(...KNOWN), fc.nat(20), (word, at) => {
    assertEquals(nearest(word, KNOWN), word);
    const dropped = word.slice(0, at % word.length) + word.slice((at % word.length) + 1);
    assertEquals(nearest(dropped, KNOWN), word);
  }));
});

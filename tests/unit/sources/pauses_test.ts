import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { jittered, Pauses } from "../../../src/sources/pauses.ts";

Deno.test("Pauses grow from 250 ms to 10 s, begin anew after a success, and are moved by up to a fifth", () => {
  const pauses = new Pauses(() => 0.5);
  const first = Array.from({ length: 8 }, () => pauses.next());
  assertEquals(first, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  pauses.reset();
  assertEquals(pauses.next(), 250);
  assertEquals([new Pauses(() => 0).next(), new Pauses(() => 1).next()], [200, 300]);
});

Deno.test("jittered() stays within its part, whatever the dice say", () => {
  fc.assert(fc.property(
    fc.nat(1_000_000),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (ms, part, random) => {
      const moved = jittered(ms, part, () => random);
      assert(Number.isInteger(moved) && moved >= Math.floor(ms * (1 - part)) && moved <= Math.ceil(ms * (1 + part)));
    },
  ));
});

import { assertEquals, assertThrows } from "@std/assert";
import * as z from "zod";
import { duration, flag, headerMap, size, sizeLimit, strategy, whole, workers } from "../../../src/config/fields.ts";
import { unitOf, wordsFor } from "../../../src/config/kind.ts";

Deno.test("wordsFor() says what the file may hold", () => {
  const kinds = {
    "`true` or `false`": flag,
    "`true`, `false` or `null`": flag.nullable(),
    "1–9": whole(1, 9),
    '`"auto"` or 1–256': workers,
    "duration": duration(0),
    "duration from 1ms": duration(1),
    "duration, 1s–2m": duration(1000, 120_000),
    "size, 256B–1KiB": size(256, 1024),
    '`"unlimited"` or size': sizeLimit(),
    "object": headerMap,
    "list of 400–599": z.array(whole(400, 599)),
  };
  for (const [words, kind] of Object.entries(kinds)) assertEquals(wordsFor(kind), words);
  assertEquals(wordsFor(strategy).split(" or ").at(-1), "text");
  assertThrows(() => wordsFor(z.date()), TypeError, "no words for the kind date");
});

Deno.test("unitOf() finds the unit through whatever makes a kind optional", () => {
  assertEquals(unitOf(duration(0).prefault("1s")), "Ms");
  assertEquals(unitOf(size(0, 9).nullable().prefault(null)), "Bytes");
  assertEquals(unitOf(whole(0, 9).prefault(1)), undefined);
});

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { HeaderTable } from "../../../src/proxy/header_table.ts";

const ENTRIES = { "te": "1", "x-forwarded-for": "2", "x-forwarded-port": "3", "x-forwarded-host": "4", "upgrade": "5" };

Deno.test("HeaderTable.get() finds names in any case, and nothing that merely resembles them", () => {
  const table = new HeaderTable(ENTRIES);
  const near = fc.tuple(fc.constantFrom(...Object.keys(ENTRIES)), fc.nat(), fc.constantFrom("", "x", "-", "T"))
    .map(([name, place, put]) => name.slice(0, place % name.length) + put + name.slice(place % name.length + 1));
  const name = fc.oneof(fc.constantFrom(...Object.keys(ENTRIES)), near, fc.string());
  fc.assert(fc.property(name, fc.boolean(), (name, upper) => {
    const expected = new Map(Object.entries(ENTRIES)).get(name.toLowerCase());
    assertEquals(table.get(upper ? name.toUpperCase() : name), expected);
  }));
});

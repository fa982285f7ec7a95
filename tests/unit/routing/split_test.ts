import { assert, assertEquals, assertLess } from "@std/assert";
import fc from "fast-check";
import type { RoutedRequest } from "../../../src/routing/condition.ts";
import { Split, type SplitBy } from "../../../src/routing/split.ts";

function request(client: string, headers: Record<string, string> = {}): RoutedRequest {
  return { method: "GET", target: "/", client, header: (name) => headers[name] };
}

function splitOf(by: SplitBy, weights: Record<string, number>) {
  return new Split(by, Object.entries(weights).map(([id, weight]) => ({ id, weight })));
}

const CLIENTS = Array.from({ length: 10_000 }, (_, index) => request(`10.0.${index >> 8}.${index & 255}`));

Deno.test("Split by request gives each side exactly its share of a cycle", () => {
  const split = splitOf({ kind: "request" }, { a: 95, b: 5, c: 0 });
  const counts = new Map<string, number>();
  for (let index = 0; index < 2000; index++) {
    const id = split.sideFor(request("x"))?.id ?? "none";
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assertEquals(Object.fromEntries(counts), { a: 1900, b: 100 });
});

Deno.test("Split by client keeps every client at its side, and gives the sides their shares", () => {
  const split = splitOf({ kind: "client" }, { a: 950, b: 50 });
  const sides = CLIENTS.map((client) => split.sideFor(client)?.id);
  assertEquals(CLIENTS.map((client) => split.sideFor(client)?.id), sides);
  const share = sides.filter((side) => side === "b").length;
  assert(Math.abs(share - 500) < 100, `${share} of 10,000`);
});

Deno.test("Split moves requests only to a side whose share grows, and no more than it must", () => {
  const before = splitOf({ kind: "client" }, { a: 90, b: 10 });
  const after = splitOf({ kind: "client" }, { a: 80, b: 20 });
  let moved = 0;
  for (const client of CLIENTS) {
    const [from, to] = [before.sideFor(client)?.id, after.sideFor(client)?.id];
    if (from === to) continue;
    assertEquals([from, to], ["a", "b"]);
    moved++;
  }
  assertLess(moved, 1200); // a tenth of all
});

Deno.test("Split by header or cookie goes by its value, and by the client without one", () => {
  fc.assert(fc.property(fc.ipV4(), fc.ipV4(), fc.stringMatching(/^[0-9a-f]+$/), (one, other, value) => {
    const byHeader = splitOf({ kind: "header", name: "x-user" }, { a: 1, b: 1, c: 1 });
    const byCookie = splitOf({ kind: "cookie", name: "user" }, { a: 1, b: 1, c: 1 });
    const byClient = splitOf({ kind: "client" }, { a: 1, b: 1, c: 1 });
    const side = byHeader.sideFor(request(one, { "x-user": value }));
    assertEquals(byHeader.sideFor(request(other, { "x-user": value })), side);
    assertEquals(byCookie.sideFor(request(other, { cookie: `user=${value}` })), side);
    for (const split of [byHeader, byCookie]) {
      assertEquals(split.sideFor(request(one))?.id, byClient.sideFor(request(one))?.id);
    }
  }));
});

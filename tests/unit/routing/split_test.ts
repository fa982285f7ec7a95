import { assert, assertEquals } from "@std/assert";
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

/** How many clients are at each side, and how many have moved there from another one. */
function movedBetween(before: Record<string, number>, after: Record<string, number>) {
  const [one, other] = [splitOf({ kind: "client" }, before), splitOf({ kind: "client" }, after)];
  const moves = CLIENTS.map((client) => [one.sideFor(client)?.id ?? "", other.sideFor(client)?.id ?? ""] as const)
    .filter(([from, to]) => from !== to);
  const count = (split: typeof one, side: string) =>
    CLIENTS.filter((client) => split.sideFor(client)?.id === side).length;
  const must = Object.keys({ ...before, ...after })
    .reduce((sum, side) => sum + Math.max(0, count(other, side) - count(one, side)), 0);
  return { moves, must };
}

const weight = fc.integer({ min: 0, max: 1000 });

Deno.test("Split moves exactly as many clients as it must: between two sides, and if one weight changes", () => {
  const weights = fc.tuple(weight, weight).filter(([a, b]) => a + b > 0);
  fc.assert(
    fc.property(weights, weights, ([a, b], [c, d]) => {
      const { moves, must } = movedBetween({ a, b }, { a: c, b: d });
      assertEquals(moves.length, must);
    }),
    { numRuns: 20 },
  );
  const sides = fc.array(weight, { minLength: 2, maxLength: 5 }).filter((all) => all.slice(1).some((one) => one > 0));
  fc.assert(
    fc.property(sides, weight, (all, first) => {
      const before = Object.fromEntries(all.map((one, index) => [`pool-${index}`, one]));
      const { moves, must } = movedBetween(before, { ...before, "pool-0": first });
      assertEquals(moves.length, must);
    }),
    { numRuns: 20 },
  );
  assertEquals(movedBetween({ a: 90, b: 10 }, { a: 9, b: 1 }).moves, [], "the same shares");
  assertEquals(movedBetween({ a: 90, b: 10 }, { b: 10, a: 90, c: 0 }).moves, [], "the order and closed sides");
});

Deno.test("Split moves a client only to a side whose weight has grown against that of its own", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 3, maxLength: 3 });
  fc.assert(
    fc.property(weights, weights, (before, after) => {
      const named = (all: readonly number[]) => Object.fromEntries(all.map((one, index) => [String(index), one]));
      for (const [from, to] of movedBetween(named(before), named(after)).moves) {
        const growth = (side: string) => (after[Number(side)] ?? 0) / (before[Number(side)] ?? 1);
        assert(growth(to) > growth(from), `from ${from} to ${to}: ${before} became ${after}`);
      }
    }),
    { numRuns: 20 },
  );
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

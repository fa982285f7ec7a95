import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Memory } from "../../../src/memory/memory.ts";
import { OTHER_ROUTES, type RouteCounts, type RouteFigures } from "../../../src/memory/route_counts.ts";
import { ROUTES, type SlotUse } from "../../../src/memory/slots.ts";
import { memories } from "../../support/memory.ts";

function placeOf(routes: RouteCounts, label: string): SlotUse {
  const [place] = routes.find([label]);
  assert(place !== undefined);
  return place;
}

function requestsOf({ byClass }: Pick<RouteFigures, "byClass">): number {
  return byClass.reduce((sum, count) => sum + count, 0);
}

function count(routes: RouteCounts, place: SlotUse, status = 200): void {
  routes.count(place, { status, failed: false, durationMs: 10 });
}

Deno.test("RouteCounts sums what the isolates count, each route apart", () => {
  const all = memories(3).map(({ routes }) => routes);
  all[0]?.assign(["a/*", "b/*"]);
  for (const routes of all) {
    const [a, b] = routes.find(["a/*", "b/*"]);
    assert(a !== undefined && b !== undefined);
    for (const status of [101, 200, 302, 404, 500, 999]) count(routes, a, status);
    routes.count(b, { status: 503, failed: true, durationMs: 40_000 });
  }
  for (const routes of all) {
    const a = routes.figures(placeOf(routes, "a/*"));
    assertEquals([a.byClass, a.failed, a.durations.sumMs], [[3, 3, 3, 3, 3, 0, 0, 0, 3], 0, 150]);
    assertEquals(Math.round(a.recent?.p95 ?? 0), 10);
    const b = routes.figures(placeOf(routes, "b/*"));
    assertEquals([b.byClass, b.failed], [[0, 0, 0, 0, 3, 0, 0, 0, 0], 3]);
    assertEquals([b.durations.sumMs, b.durations.buckets.at(-1)], [120_000, 3]);
    assertEquals(requestsOf(routes.figures(OTHER_ROUTES)), 0);
  }
});

Deno.test("RouteCounts keeps the counts of labels that stay, and shows no label those of another", () => {
  const label = fc.constantFrom(..."abcdefgh");
  const configurations = fc.array(fc.uniqueArray(label, { maxLength: 5 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(configurations, (lists) => {
      const [control, worker] = memories(2).map(({ routes }) => routes);
      assert(control !== undefined && worker !== undefined);
      const expected = new Map<string, number>();
      const late: [string, SlotUse][] = [];
      for (const labels of lists) {
        control.assign(labels);
        for (const label of expected.keys()) if (!labels.includes(label)) expected.delete(label);
        const places = worker.find(labels);
        assertEquals(new Set(places.map(({ slot }) => slot)).size, labels.length, "each has a place of its own");
        labels.forEach((label, index) => {
          const place = places[index];
          assert(place !== undefined);
          count(worker, place);
          expected.set(label, (expected.get(label) ?? 0) + 1);
          late.push([label, place]);
        });
        for (const label of labels) {
          assertEquals(requestsOf(control.figures(placeOf(control, label))), expected.get(label), label);
        }
      }
      // Requests of earlier configurations end now. They may go to a label that has stayed, and to no other.
      for (const [, place] of late) worker.count(place, { status: 200, failed: false, durationMs: 5000 });
      for (const label of lists.at(-1) ?? []) {
        const place = placeOf(control, label);
        const own = late.filter(([of, { slot, generation }]) =>
          of === label && slot === place.slot && generation === place.generation
        );
        const { recent, ...figures } = control.figures(place);
        assertEquals(requestsOf(figures), 2 * own.length, label);
        // One of two took 10 ms and the other one 5 s: not more than are its own.
        assertEquals(Math.round(recent?.p50 ?? 0), 10, label);
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("RouteCounts counts routes that find no place together, until there is one", () => {
  const { routes } = Memory.allocate();
  const labels = Array.from({ length: ROUTES + 2 }, (_, index) => `host-${index}/*`);
  routes.assign(labels);
  const places = routes.find(labels);
  assertEquals(new Set(places.map(({ slot }) => slot)).size, ROUTES + 1);
  assertEquals(places.slice(ROUTES), [OTHER_ROUTES, OTHER_ROUTES]);
  for (const place of places) count(routes, place);
  assertEquals([requestsOf(routes.figures(OTHER_ROUTES)), requestsOf(routes.figures(placeOf(routes, "host-0/*")))], [
    2,
    1,
  ]);
  routes.assign(labels.slice(1));
  assertEquals(placeOf(routes, `host-${ROUTES}/*`).slot, 0);
  assertEquals(requestsOf(routes.figures(placeOf(routes, `host-${ROUTES}/*`))), 0);
  assertEquals(routes.find(["host-0/*"]), [OTHER_ROUTES]);
});

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ANY, BoundTickets, NO_TICKET, WaitingLine } from "../../../src/memory/waiting_line.ts";
import { arenas } from "../../support/memory.ts";

const SLOTS = 4;
const NOW = 1_700_000_000_000;

/** The line as each of so many isolates sees it, all of them at work, and the table that it is kept in with others. */
function lines(isolates: number, lastTicket = 0): { views: WaitingLine[]; tables: BoundTickets[] } {
  const tables = arenas(isolates, BoundTickets.lines(isolates)).map((arena) => new BoundTickets(arena));
  const own = arenas(isolates, WaitingLine.lines(isolates));
  const views = own.map((arena, isolate) => new WaitingLine(arena, tables[isolate] as BoundTickets)); // as many
  for (const { buffer } of own.slice(0, 1)) new Int32Array(buffer)[1] = lastTicket;
  for (const view of views) view.beSeen(NOW);
  return { views, tables };
}

function pair(lastTicket = 0): readonly [WaitingLine, WaitingLine] {
  const [one, two] = lines(2, lastTicket).views;
  assert(one !== undefined && two !== undefined);
  return [one, two];
}

Deno.test("WaitingLine.rung() settles when another isolate tells of a place for the oldest here", async () => {
  const [one, two] = pair();
  const rung = one.rung();
  one.show(2, one.join(9));
  two.show(ANY, two.join(9));
  assertEquals([one.tell(1, NOW), one.tell(2, NOW)], [false, true]);
  assertEquals(two.tell(2, NOW), true); // the oldest for whichever is eligible waits here, the other one is told
  await rung;
});

Deno.test("WaitingLine: an isolate that is not seen at work holds up nobody, and is not told", () => {
  const [one, two] = pair();
  one.show(ANY, one.join(9));
  const claim = { slot: 0, ticket: two.join(9), room: 1, open: true };
  assertEquals([two.lets(claim, NOW + 50), two.lets(claim, NOW + 51)], [false, true]);
  one.beSeen(NOW + 51);
  assertEquals(two.lets(claim, NOW + 51), false);
  // An isolate knows of itself that it is at work.
  assertEquals(one.lets({ ...claim, ticket: NO_TICKET }, NOW + 500), false);
});

interface Waiting {
  readonly isolate: number;
  readonly ticket: number;
  readonly slot: number;
  readonly order: number;
}

const isolate = fc.nat(2);
const slot = fc.integer({ min: ANY, max: SLOTS - 1 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("join" as const), isolate, slot }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("leave" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("die" as const), isolate }) },
);

Deno.test("WaitingLine lets nobody overtake who is older and could use the place, whatever isolates join, leave and die", () => {
  // From just below where tickets wrap to 0, and where they change their sign.
  const begin = fc.constantFrom(0, -5, 2 ** 31 - 5);
  fc.assert(fc.property(begin, fc.array(step, { maxLength: 60, size: "max" }), (lastTicket, steps) => {
    const { views, tables } = lines(3, lastTicket);
    const at = (isolate: number) => views[isolate] ?? views[0] as WaitingLine; // there are three
    let waiting: Waiting[] = [];
    let order = 0;
    const show = ({ isolate, slot }: Waiting) => {
      const first = waiting.find((other) => other.isolate === isolate && other.slot === slot);
      at(isolate).show(slot, first?.ticket ?? NO_TICKET);
    };
    for (const step of steps) {
      if (step.type === "join") {
        const ticket = at(step.isolate).join(10);
        assertEquals(ticket === NO_TICKET, waiting.length === 10);
        if (ticket === NO_TICKET) continue;
        const place = { isolate: step.isolate, slot: step.slot, ticket, order: order++ };
        waiting.push(place);
        show(place);
      } else if (step.type === "leave") {
        const [place] = waiting.splice(step.which % waiting.length, 1);
        if (place === undefined) continue;
        at(place.isolate).leave();
        show(place);
      } else {
        at((step.isolate + 1) % 3).reclaim(step.isolate);
        tables[0]?.reclaim(step.isolate);
        waiting = waiting.filter(({ isolate }) => isolate !== step.isolate);
      }
      assertEquals([at(0).queued(), at(1).empty], [waiting.length, waiting.length === 0]);
      checkClaims(at(0), waiting);
    }
  }));
});

/** What the shared memory says of every claim that those who wait, and one who doesn't, could make. */
function checkClaims(line: WaitingLine, waiting: readonly Waiting[]): void {
  const fresh = { ticket: NO_TICKET, order: Infinity, slot: ANY };
  for (const { ticket, order, slot: wanted } of [...waiting, fresh]) {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (wanted !== ANY && wanted !== slot) continue;
      for (const [room, open] of [[1, true], [1, false], [3, true]] as const) {
        const older = waiting.some((other) =>
          other.order < order && (other.slot === slot || (open && other.slot === ANY))
        );
        const others = waiting.length - (ticket === NO_TICKET ? 0 : 1);
        assertEquals(line.lets({ slot, ticket, room, open }, NOW), room > others || !older);
      }
    }
  }
}

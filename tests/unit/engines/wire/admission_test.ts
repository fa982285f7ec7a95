import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Admission } from "../../../../src/engines/wire/admission.ts";
import { FakeTime } from "../../../support/fake_time.ts";

/** As in `admission.ts`. */
const FEW = 100;
const MOST_AT_WORK = 32;

/** A request: at work as soon as it is its turn. */
class Request {
  round: number | undefined;
}

/** What begins, in order. */
class Requests {
  readonly begun: Request[] = [];
  readonly waiting: Request[] = [];
  readonly admission = new Admission();

  arrive(): Request {
    const request = new Request();
    const begin = (round: number) => {
      request.round = round;
      this.begun.push(request);
      if (this.waiting[0] === request) this.waiting.shift();
    };
    if (this.admission.free) begin(this.admission.begin());
    else {
      this.waiting.push(request);
      void this.admission.wait().then(begin);
    }
    return request;
  }

  arriveMany(count: number): Request[] {
    return Array.from({ length: count }, () => this.arrive());
  }

  end(request: Request): Promise<void> {
    this.admission.end(request.round as number);
    return Promise.resolve(); // time for whoever begins now
  }
}

Deno.test("Admission: a few begin at once, however long the others take", () => {
  const requests = new Requests();
  requests.arriveMany(FEW);
  assertEquals([requests.begun.length, requests.waiting.length], [FEW, 0]);
});

Deno.test("Admission: of more than a few, as one ends the one that has waited longest begins", async () => {
  // 2,000 clients that asked again and again: some hundred were served over and over while the others waited for
  // seconds, and dials ran out of time, so that backends that were well counted as down.
  using _ = new FakeTime();
  const requests = new Requests();
  const first = requests.arriveMany(FEW);
  const others = requests.arriveMany(200);
  assertEquals(requests.begun, first);
  for (const [index, request] of first.slice(0, FEW - MOST_AT_WORK).entries()) {
    await requests.end(request);
    assertEquals(requests.begun.length, FEW, `the ${index}th end leaves more than may be at work`);
  }
  for (const [index, request] of [...first.slice(FEW - MOST_AT_WORK), ...others].entries()) {
    await requests.end(request);
    const left = MOST_AT_WORK + others.length - index - 1;
    assertEquals(requests.begun.length, left < FEW ? FEW + others.length : FEW + index + 1);
  }
  assertEquals(requests.begun, [...first, ...others]);
});

Deno.test("Admission: when nobody ends, all begin sooner or later: the number in flight has no limit", async () => {
  using time = new FakeTime();
  const requests = new Requests();
  const all = requests.arriveMany(1000);
  for (let looks = 0; requests.waiting.length > 0; looks++) {
    assertEquals(looks < 1000 / MOST_AT_WORK, true);
    time.advance(1);
    await Promise.resolve();
  }
  assertEquals(requests.begun, all);
  assertEquals(time.timers.size, 0, "nobody waits: nobody looks");
});

Deno.test("Admission: a busy program takes longer to tell that those at work wait for their backends", async () => {
  using time = new FakeTime();
  const requests = new Requests();
  requests.arriveMany(FEW + 1);
  for (const begun of [FEW, FEW, FEW + 1]) {
    time.stall(3);
    time.advance(0);
    await Promise.resolve();
    assertEquals(requests.begun.length, begun);
  }
});

Deno.test("Admission: as long as some end, no new round begins", async () => {
  using time = new FakeTime();
  const requests = new Requests();
  const first = requests.arriveMany(2 * FEW);
  for (const request of first.slice(0, FEW - MOST_AT_WORK)) await requests.end(request);
  const begunAfterLook = async () => {
    time.advance(1);
    await Promise.resolve();
    return requests.begun.length;
  };
  assertEquals(await begunAfterLook(), FEW);
  await requests.end(first[FEW - 1] as Request);
  assertEquals(await begunAfterLook(), FEW + 1);
  assertEquals(await begunAfterLook(), FEW + 1 + MOST_AT_WORK);
});

Deno.test("Admission: a round ends after 10 ms, though some of its requests end all the time", async () => {
  // Event streams, tunnels and slow backends took nearly all places of a round; the few that were left served the rest.
  using time = new FakeTime();
  const requests = new Requests();
  const first = requests.arriveMany(FEW);
  requests.arriveMany(FEW);
  for (let ms = 1; ms < 10; ms++) {
    await requests.end(first[ms] as Request);
    time.advance(1);
    await Promise.resolve();
    assertEquals(requests.begun.length, FEW);
  }
  await requests.end(first[10] as Request);
  time.advance(1);
  await Promise.resolve();
  assertEquals(requests.begun.length, FEW + MOST_AT_WORK);
});

Deno.test("Admission: ends of earlier rounds make no room in this one", async () => {
  using time = new FakeTime();
  const requests = new Requests();
  const first = requests.arriveMany(FEW);
  requests.arriveMany(2 * MOST_AT_WORK);
  time.advance(1);
  await Promise.resolve();
  assertEquals(requests.begun.length, FEW + MOST_AT_WORK);
  for (const request of first.slice(0, 20)) await requests.end(request);
  assertEquals(requests.begun.length, FEW + MOST_AT_WORK);
});

Deno.test("Admission: whatever begins, waits and ends, none overtakes another, and none is left behind", async () => {
  const step = fc.oneof(
    fc.record({ does: fc.constant("arrive" as const), count: fc.integer({ min: 1, max: 150 }) }),
    fc.record({ does: fc.constant("end" as const), count: fc.integer({ min: 1, max: 80 }) }),
    fc.record({ does: fc.constant("wait" as const), count: fc.integer({ min: 1, max: 3 }) }),
  );
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
    using time = new FakeTime();
    const requests = new Requests();
    const arrived: Request[] = [];
    let ended = 0;
    for (const { does, count } of steps) {
      if (does === "arrive") arrived.push(...requests.arriveMany(count));
      if (does === "wait") time.advance(count);
      for (let ends = 0; does === "end" && ends < count && ended < requests.begun.length; ends++) {
        await requests.end(requests.begun[ended++] as Request);
      }
      await Promise.resolve();
      assertEquals(requests.begun, arrived.slice(0, requests.begun.length));
      assertEquals(requests.waiting.length, arrived.length - requests.begun.length);
      assertEquals(time.timers.size, requests.waiting.length === 0 ? 0 : 1);
      if (requests.waiting.length > 0) assertEquals(arrived.length - ended >= FEW, true, "few, and yet one waits");
    }
    while (ended < arrived.length) {
      await requests.end(requests.begun[ended++] as Request);
      await Promise.resolve();
      time.advance(3);
      await Promise.resolve();
    }
    assertEquals([requests.begun.length, time.timers.size], [arrived.length, 0]);
  }));
});

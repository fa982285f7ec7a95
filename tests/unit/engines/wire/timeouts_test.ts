import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Timed, TimeoutQueue } from "../../../../src/engines/wire/timeouts.ts";
import { FakeTime } from "../../../support/fake_time.ts";
import { waitFor } from "../../../support/wait.ts";

class Entry extends Timed {
  timeouts = 0;
  /** Of the last timeout. */
  timedOutAt = NaN;
  then: () => void = () => {};

  timedOut(): void {
    this.timeouts++;
    this.timedOutAt = performance.now();
    this.then();
  }
}

/** How much a limit may be overrun: two pauses between looks. */
function slack(limitMs: number): number {
  return 2 * Math.min(Math.ceil(limitMs / 32), 1000);
}

Deno.test("TimeoutQueue is nearly as a timer for each entry would be, whatever is started, stopped and moved", () => {
  const ENTRIES = 4;
  const LIMITS = [50, 0, 80];
  const step = fc.oneof(
    fc.record({ does: fc.constant("start" as const), entry: fc.nat(ENTRIES - 1), queue: fc.nat(1) }),
    fc.record({ does: fc.constant("stop" as const), entry: fc.nat(ENTRIES - 1) }),
    fc.record({ does: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ does: fc.constant("configure" as const), queue: fc.nat(1), limit: fc.nat(LIMITS.length - 1) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    using time = new FakeTime();
    const limits = [50, 80];
    const queues = [new TimeoutQueue(50), new TimeoutQueue(80)] as const;
    const entries = Array.from({ length: ENTRIES }, () => new Entry());
    const model = entries.map(() => ({ runs: false, queue: 0, order: 0, from: 0, timeouts: 0 }));
    let starts = 0;
    const check = () => {
      for (const [index, clock] of model.entries()) {
        const entry = entries[index] as Entry;
        const limit = limits[clock.queue] ?? 0;
        if (entry.timeouts > clock.timeouts) {
          assertEquals([clock.runs, entry.timeouts - clock.timeouts], [true, 1]);
          const overrun = entry.timedOutAt - clock.from - limit;
          assertEquals(limit > 0 && overrun >= 0 && overrun <= slack(limit), true, `overrun ${overrun}`);
          Object.assign(clock, { runs: false, timeouts: entry.timeouts });
        } else if (clock.runs && limit > 0) {
          assertEquals(performance.now() < clock.from + limit + slack(limit), true, "overdue");
        }
      }
    };
    for (const step of steps) {
      switch (step.does) {
        case "start":
          queues[step.queue === 0 ? 0 : 1].start(entries[step.entry] as Entry);
          Object.assign(model[step.entry] ?? {}, {
            runs: true,
            queue: step.queue,
            order: ++starts,
            from: performance.now(),
          });
          break;
        case "stop":
          entries[step.entry]?.stopClock();
          Object.assign(model[step.entry] ?? {}, { runs: false });
          break;
        case "wait":
          time.advance(step.ms);
          break;
        case "configure": {
          const limit = LIMITS[step.limit] ?? 0;
          const differs = limits[step.queue] !== limit;
          limits[step.queue] = limit;
          queues[step.queue === 0 ? 0 : 1].configure(limit);
          // Another limit counts from now on, for those under way too.
          for (const clock of model) if (differs && clock.queue === step.queue) clock.from = performance.now();
          break;
        }
      }
      check();
      for (const [index, queue] of queues.entries()) {
        const running = model.filter((clock) => clock.runs && clock.queue === index);
        const oldest = running.toSorted((one, other) => one.order - other.order)[0];
        assertEquals(queue.oldest, oldest && entries[model.indexOf(oldest)]);
      }
      assertEquals(time.timers.size <= queues.length, true, "one timer for each queue at most");
    }
    for (const queue of queues) queue.close();
    assertEquals(time.timers.size, 0);
  }));
});

Deno.test("TimeoutQueue: what a timeout starts or stops in its own queue counts, and one timer serves", () => {
  using time = new FakeTime();
  const queue = new TimeoutQueue(100);
  const [first, second, third] = [new Entry(), new Entry(), new Entry()];
  first.then = () => {
    second.stopClock();
    queue.start(first);
  };
  queue.start(first);
  queue.start(second);
  time.advance(60);
  queue.start(third);
  time.advance(40 + slack(100));
  assertEquals([first, second, third].map(({ timeouts }) => timeouts), [1, 0, 0]);
  assertEquals(time.timers.size, 1);
  time.advance(60);
  assertEquals([first.timeouts, third.timeouts], [1, 1]);
  time.advance(40 + slack(100));
  assertEquals(first.timeouts, 2);
  queue.close();
  assertEquals(time.timers.size, 0);
});

Deno.test("TimeoutQueue gives those at their end one more turn, in which what has come counts", () => {
  using time = new FakeTime();
  const queue = new TimeoutQueue(100);
  const [answered, waiting] = [new Entry(), new Entry()];
  queue.start(answered);
  queue.start(waiting);
  time.advance(20);
  time.stall(500);
  const [look] = time.timers.values();
  time.timers.clear();
  look?.callback();
  assertEquals([answered.timeouts, waiting.timeouts, time.timers.size], [0, 0, 1]);
  answered.stopClock();
  time.advance(0);
  assertEquals([answered.timeouts, waiting.timeouts, time.timers.size], [0, 1, 0]);
});

Deno.test("TimeoutQueue starts limits anew, each once, where this program ran late by more than a quarter", () => {
  using time = new FakeTime();
  const queue = new TimeoutQueue(320, { startsAnew: true });
  const [early, late] = [new Entry(), new Entry()];
  queue.start(early);
  time.advance(100);
  time.stall(400);
  queue.start(late); // it has seen nothing of the stall
  time.advance(300);
  assertEquals([early.timeouts, late.timeouts], [0, 0]);
  time.advance(60);
  assertEquals([early.timeouts, late.timeouts], [1, 1], "anew since the stall");
  queue.start(early);
  time.advance(100);
  for (let stalls = 0; stalls < 2; stalls++) {
    time.stall(400);
    time.advance(0);
  }
  time.advance(200);
  time.stall(400);
  time.advance(0);
  assertEquals(early.timeouts, 2, "once");
  assertEquals([queue.oldest, time.timers.size], [undefined, 0]);
});

Deno.test("TimeoutQueue runs on the system's clock, and a limit of 0 is none", async () => {
  const queue = new TimeoutQueue(5);
  const none = new TimeoutQueue(0);
  const [entry, other] = [new Entry(), new Entry()];
  queue.start(entry);
  none.start(other);
  await waitFor(() => entry.timeouts === 1, { what: "a timeout" });
  assertEquals([entry.queue, other.timeouts, none.oldest], [undefined, 0, other]);
  queue.close();
});

// 8,000 requests that waited for a frozen server ended in one turn. All other clients waited for 2.6 s meanwhile.
Deno.test("TimeoutQueue lets the event loop have its turns while very many entries end", async () => {
  const queue = new TimeoutQueue(20);
  const entries = Array.from({ length: 1000 }, () => new Entry());
  let sinceTurn = 0;
  let most = 0;
  for (const entry of entries) {
    entry.then = () => most = Math.max(most, ++sinceTurn);
    queue.start(entry);
  }
  const turns = setInterval(() => sinceTurn = 0, 0);
  await waitFor(() => entries.every(({ timeouts }) => timeouts === 1), { what: "all have ended" });
  clearInterval(turns);
  queue.close();
  assertEquals(most < 200, true, `${most} ended in one turn`);
});

// What a backend has done in the last minute, for whoever looks for the first time.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { LastMinute } from "../../../src/pool/last_minute.ts";

const START = 1_000_000_000;

/** A backend whose totals grow. */
class Counted {
  totalRequests = 0;
  totalFailures = 0;
  responses = { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 };

  answer(status: keyof Counted["responses"], times = 1): void {
    this.totalRequests += times;
    this.responses[status] += times;
  }
}

/** Looks once a second, and answers so many requests in each of these seconds. */
function watched(seconds: readonly number[], status: keyof Counted["responses"] = "2xx") {
  const counted = new Counted();
  const lastMinute = new LastMinute(counted, START);
  seconds.forEach((requests, index) => {
    counted.answer(status, requests);
    lastMinute.look(START + (index + 1) * 1000);
  });
  return { counted, lastMinute, now: START + seconds.length * 1000 };
}

Deno.test("LastMinute: before there is a minute, everything counts", () => {
  const { counted, lastMinute, now } = watched([0, 6, 0], "5xx");
  counted.answer("4xx");
  counted.totalRequests++; // this one has no answer
  counted.totalFailures++;
  assertEquals(lastMinute.counts(now + 1000), {
    requests: 8,
    failures: 1,
    answers: 7,
    "4xx": 1,
    "5xx": 6,
    perSecond: 2, // in the 4 seconds since it began
  });
});

Deno.test("LastMinute: what is older than a minute is forgotten, and rates are of the last ten seconds", () => {
  const { lastMinute, now } = watched([...Array(100).fill(0), ...Array(60).fill(3)]);
  assertEquals([lastMinute.counts(now).requests, lastMinute.counts(now).perSecond], [180, 3]);
  lastMinute.look(now + 5_000);
  const none = { requests: 0, failures: 0, answers: 0, "4xx": 0, "5xx": 0, perSecond: 0 };
  assertEquals(lastMinute.counts(now + 200_000), none);
});

Deno.test("LastMinute: no count is lost, and none is older than a minute and two looks", () => {
  const second = fc.oneof(fc.constant(0), fc.nat(9));
  fc.assert(fc.property(fc.array(second, { minLength: 1, maxLength: 200 }), (seconds) => {
    const { lastMinute, now } = watched(seconds);
    const { requests, perSecond } = lastMinute.counts(now);
    const sum = (last: number) => seconds.slice(-last).reduce((sum, one) => sum + one, 0);
    assertEquals(requests >= sum(60) && requests <= sum(70), true, `${requests} of ${sum(60)} to ${sum(70)}`);
    assertEquals(perSecond <= sum(20), true);
    if (sum(10) > 0) assertEquals(perSecond > 0, true);
  }));
});

Deno.test("LastMinute: after the clock was set back, counting begins anew", () => {
  const { counted, lastMinute } = watched(Array(100).fill(1));
  lastMinute.look(START - 500_000);
  counted.answer("2xx", 4);
  assertEquals(lastMinute.counts(START - 499_000).requests, 4);
});

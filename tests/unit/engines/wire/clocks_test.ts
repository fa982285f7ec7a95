import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { ClockRoom } from "../../../../src/engines/wire/clocks.ts";
import { Timed } from "../../../../src/engines/wire/timeouts.ts";
import { waitFor } from "../../../support/wait.ts";

class Entry extends Timed {
  over = 0;

  timedOut(): void {
    this.over++;
  }
}

const LIMITS = { connectMs: 60_000, responseMs: 60_000, requestMs: 0, idleMs: 60_000 };

Deno.test("ClockRoom gives requests with the same limits the same clocks, and others their own", () => {
  const room = new ClockRoom();
  const own = { ...LIMITS, requestMs: 5 };
  const [one, other] = [room.for(LIMITS), room.for(own)];
  for (let request = 0; request < 3; request++) {
    assertStrictEquals(room.for(LIMITS), one);
    assertStrictEquals(room.for(own), other);
  }
  assertEquals([one.request, other.request !== undefined], [undefined, true]);
  room.close();
});

Deno.test("ClockRoom keeps the clocks of requests that go by an earlier configuration, until those have ended", async () => {
  const room = new ClockRoom();
  const old = { ...LIMITS, responseMs: 20 };
  const clocks = room.for(old);
  const [running, later] = [new Entry(), new Entry()];
  clocks.response.start(running);
  room.tidy();
  assertStrictEquals(room.for(old), clocks);
  await waitFor(() => running.over === 1, { what: "the limit to pass" });
  await waitFor(() => !clocks.running, { what: "the clock to stop" });
  room.tidy();
  assert(room.for(old) !== clocks);
  clocks.response.start(later); // a request that began before, and waited
  await waitFor(() => later.over === 1, { what: "the limit to pass once more" });
  await waitFor(() => !clocks.running, { what: "the clock to stop" });
  room.close();
});

Deno.test("ClockRoom.close() leaves no timer", () => {
  const room = new ClockRoom();
  const { connect, idle } = room.for(LIMITS);
  const entries = [new Entry(), new Entry()];
  connect.start(entries[0] as Entry); // there are two
  idle.start(entries[1] as Entry);
  assert(connect.running && idle.running);
  room.close();
  assertEquals(entries.map(({ over }) => over), [0, 0]);
});

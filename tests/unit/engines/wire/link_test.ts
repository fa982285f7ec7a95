import { assertEquals } from "@std/assert";
import { type Link, writeAll } from "../../../../src/engines/wire/link.ts";
import { Timed, TimeoutQueue } from "../../../../src/engines/wire/timeouts.ts";
import { FakeTime } from "../../../support/fake_time.ts";

class Clock extends Timed {
  timeouts = 0;

  timedOut(): void {
    this.timeouts++;
  }
}

Deno.test("writeAll() gives the other side the limit anew for each part that it takes", async () => {
  // A client that read 256 KiB more slowly than timeouts.idle was cut, though it never stood still.
  using time = new FakeTime();
  const taken: number[] = [];
  let take: (count: number) => void = () => {};
  const link = {
    write: (bytes: Uint8Array) => {
      taken.push(bytes.length);
      return new Promise<number>((resolve) => take = resolve);
    },
  } as Partial<Link> as Link;
  const queue = new TimeoutQueue(100);
  const clock = new Clock();
  queue.start(clock);
  const written = writeAll(link, new Uint8Array(10), clock);
  for (let part = 0; part < 4; part++) {
    time.advance(80);
    take(2);
    await new Promise<void>((resolve) => queueMicrotask(resolve));
    await Promise.resolve();
  }
  assertEquals([clock.timeouts, taken], [0, [10, 8, 6, 4, 2]]);
  clock.stopClock();
  take(2);
  await written;
  assertEquals(clock.queue, undefined, "a clock that does not run is not started");
  queue.close();
});

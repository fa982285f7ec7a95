import { assert, assertEquals } from "@std/assert";
import { EventFeed, EVENTS_KEPT, MAX_STREAMS } from "../../../src/admin/event_feed.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { EventReader } from "../../support/event_stream.ts";
import { backendSpec } from "../../support/pool.ts";
import { waitFor } from "../../support/wait.ts";

const FOREVER = new AbortController().signal;

/** A feed whose `stats` are a count, and a backend to change. */
class Feed implements Disposable {
  readonly pool = new ServerPool(Memory.allocate().pool(0));
  readonly backend = this.pool.add(backendSpec("http://127.0.0.1:9001"), "test");
  asked = 0;
  readonly feed: EventFeed;

  constructor(statsEveryMs = 60_000) {
    this.feed = new EventFeed({ status: () => ++this.asked, processId: "here", statsEveryMs });
    this.pool.subscribe((event) => this.feed.poolChanged("default", event));
  }

  /** Makes that many changes. */
  change(count: number): void {
    for (let made = 0; made < count; made++) {
      this.pool.update(this.backend, { weight: 1 + this.backend.weight % 2 }, "");
    }
  }

  open(lastEventId?: string): EventReader {
    return new EventReader(this.feed.open(lastEventId, FOREVER));
  }

  /** The ids of the first `count` events that a client gets which comes back with this one. */
  async idsAfter(lastEventId: string | undefined, count: number): Promise<(string | undefined)[]> {
    await using events = this.open(lastEventId);
    return (await events.take(count)).map((event) => event?.id);
  }

  [Symbol.dispose](): void {
    this.feed.close();
  }
}

Deno.test("EventFeed sends what happened after the event that a client had last, then stats, then what happens", async () => {
  using feed = new Feed();
  feed.change(3);
  await using events = feed.open("here-1");
  assertEquals((await events.take(3)).map((event) => event?.id), ["here-2", "here-3", undefined]);
  feed.change(1);
  assertEquals((await events.next())?.id, "here-4");
});

Deno.test("EventFeed begins with now for a client that names no event", async () => {
  using feed = new Feed();
  feed.change(3);
  await using events = feed.open();
  assertEquals((await events.next())?.event, "stats");
  feed.change(1);
  assertEquals((await events.next())?.id, "here-4");
});

Deno.test("EventFeed sends all it remembers to a client whose event it does not know", async () => {
  using feed = new Feed();
  feed.change(2);
  for (
    const id of ["", "0", "before-1", "here-3", "here-", "here-1e0", "here-99999999999999999999", "x".repeat(9999)]
  ) {
    assertEquals(await feed.idsAfter(id, 3), ["here-1", "here-2", undefined], id.slice(0, 40));
  }
});

Deno.test("EventFeed remembers the last 1,000 changes, and stats are not among them", async () => {
  using feed = new Feed(1);
  await using listener = feed.open();
  feed.change(EVENTS_KEPT + 5);
  while (feed.asked < 3) await listener.next();
  const ids = await feed.idsAfter("here-2", EVENTS_KEPT + 1);
  assertEquals([ids[0], ids[EVENTS_KEPT - 1], ids[EVENTS_KEPT]], ["here-6", `here-${EVENTS_KEPT + 5}`, undefined]);
});

Deno.test("EventFeed holds nothing back for a client that does not read: it misses what is forgotten meanwhile", async () => {
  using feed = new Feed(1);
  await using slow = feed.open("here-0");
  assertEquals((await slow.next())?.data, 1); // the first stats
  await waitFor(() => feed.asked > 5, { what: "more stats" });
  feed.change(10 * EVENTS_KEPT);
  const stats = feed.asked;
  const events = await slow.take(EVENTS_KEPT + 2);
  // What was on its way when it stopped reading, the changes that are remembered, and no stats but the latest.
  assertEquals(events[0]?.event, "stats");
  assertEquals(events[1]?.id, `here-${9 * EVENTS_KEPT + 1}`);
  assertEquals(events[EVENTS_KEPT]?.id, `here-${10 * EVENTS_KEPT}`);
  assert(events[EVENTS_KEPT + 1]?.data >= stats);
});

Deno.test("EventFeed asks for stats only while somebody listens", async () => {
  using feed = new Feed(1);
  feed.change(1);
  const first = feed.open();
  const second = feed.open();
  await waitFor(() => feed.asked > 4, { what: "stats" });
  await first[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  const asked = feed.asked;
  assertEquals(feed.feed.streams, 0);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(feed.asked, asked);
});

Deno.test("EventFeed has room again when a client leaves, by its signal or by ending the stream", async () => {
  using feed = new Feed();
  const leave = new AbortController();
  feed.feed.open(undefined, leave.signal);
  const reader = feed.open();
  while (feed.feed.hasRoom) feed.open();
  assertEquals(feed.feed.streams, MAX_STREAMS);
  leave.abort();
  await reader[Symbol.asyncDispose]();
  assertEquals(feed.feed.streams, MAX_STREAMS - 2);
  feed.feed.open(undefined, AbortSignal.abort());
  assertEquals(feed.feed.streams, MAX_STREAMS - 2);
});

Deno.test("EventFeed ends every stream when it closes, after what was on its way", async () => {
  const feed = new Feed();
  const events = feed.open();
  feed.feed.close();
  feed.feed.close();
  assertEquals((await events.next())?.event, "stats");
  assertEquals(await events.next(), undefined);
  assertEquals(await feed.open("here-0").next(), undefined);
  assertEquals(feed.feed.streams, 0);
});

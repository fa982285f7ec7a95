// The chart of the dashboard was empty at each visit: nothing but the open page remembered the traffic.

import { assert, assertEquals } from "@std/assert";
import { HISTORY_SECONDS, type HistoryView, TrafficHistory } from "../../../src/admin/history.ts";
import { Memory } from "../../../src/memory/memory.ts";
import type { SlotUse } from "../../../src/memory/slots.ts";
import type { ServerPool } from "../../../src/pool/server_pool.ts";
import { poolOf } from "../../support/pool.ts";
import { ManualClock } from "../../support/wait.ts";

interface Followed {
  readonly name: string;
  readonly pool: ServerPool;
}

function following(count = 1) {
  const memory = Memory.allocate();
  const pools: Followed[] = Array.from(
    { length: count },
    (_, number) => ({ name: `pool-${number}`, pool: poolOf([1, 1], memory.pool(number)) }),
  );
  const clock = new ManualClock();
  clock.jump(500); // looks come in the middle of a second
  const routes: { present: ReadonlyMap<string, SlotUse> } = { present: new Map() };
  const history = new TrafficHistory({ memory, pools: () => pools, routes: () => routes.present, clock });
  history.start();
  return { memory, pools, routes, clock, history };
}

/** What `GET /history` answers without a filter. */
function whole(history: TrafficHistory): HistoryView {
  return JSON.parse([...history.pieces()].join(""));
}

Deno.test("TrafficHistory has a column for each figure, in total and of each pool with traffic", async () => {
  const { memory, pools: [one], clock, history } = following(2);
  assert(one !== undefined);
  const { counts, backends: [backend] } = { counts: one.pool.shared.counts, backends: one.pool.backends };
  const from = new Date(clock.now() + 500).toISOString();
  assertEquals(whole(history), {
    from,
    seconds: 0,
    total: { requests: [], failed: [], "4xx": [], "5xx": [], failedAttempts: [], active: [] },
    pools: {},
    routes: {},
  });
  counts.count(200, false);
  counts.count(404, false);
  counts.count(503, true);
  memory.elsewhere.count(308, false);
  memory.elsewhere.count(500, true);
  backend?.countFailure();
  memory.requests.started();
  memory.requests.started();
  const lease = backend?.lease();
  await clock.advance(1000);
  lease?.release();
  memory.requests.ended();
  await clock.advance(2000);
  assertEquals(whole(history), {
    from,
    seconds: 3,
    total: {
      requests: [5, 0, 0],
      failed: [2, 0, 0],
      "4xx": [1, 0, 0],
      "5xx": [2, 0, 0],
      failedAttempts: [1, 0, 0],
      active: [2, 1, 1],
    },
    pools: {
      "pool-0": {
        requests: [3, 0, 0],
        failed: [1, 0, 0],
        "4xx": [1, 0, 0],
        "5xx": [1, 0, 0],
        failedAttempts: [1, 0, 0],
        active: [1, 0, 0],
      },
    },
    routes: {},
  });
  assertEquals(history.view({ pool: "pool-1" }).pools["pool-1"]?.requests, [0, 0, 0]);
  assertEquals(history.view({ pool: "pool-2" }).pools, {});
  history.stop();
  assertEquals(clock.pending, 0);
});

Deno.test("TrafficHistory keeps five minutes", async () => {
  const { pools: [one], clock, history } = following();
  const began = clock.now();
  for (let second = 0; second < HISTORY_SECONDS + 50; second++) {
    for (let count = 0; count <= second % 7; count++) one?.pool.shared.counts.count(200, false);
    await clock.advance(1000);
  }
  const { from, seconds, total, pools } = whole(history);
  assertEquals([from, seconds], [new Date(began + 50_500).toISOString(), HISTORY_SECONDS]);
  assertEquals(total.requests, Array.from({ length: HISTORY_SECONDS }, (_, index) => (index + 50) % 7 + 1));
  assertEquals(pools["pool-0"], total);
});

Deno.test("TrafficHistory spreads what a late look finds, and begins anew when the clock is set back", async () => {
  const { pools: [one], clock, history } = following();
  const count = (times: number) => {
    for (; times > 0; times--) one?.pool.shared.counts.count(200, false);
  };
  count(2);
  await clock.advance(1000);
  count(6);
  clock.jump(2000); // the process was suspended: the next look is late
  await clock.advance(1000);
  assertEquals(whole(history).total.requests, [2, 2, 2, 2]);
  count(1);
  clock.jump(-3_600_000);
  await clock.advance(1000);
  assertEquals(whole(history).seconds, 0);
  count(5);
  await clock.advance(1000);
  const { from, total } = whole(history);
  assertEquals(total.requests, [6]);
  assertEquals(new Date(from).getTime(), Math.floor(clock.now() / 1000) * 1000);
});

Deno.test("TrafficHistory forgets a pool that has ended, and takes one with its name for another", async () => {
  const { memory, pools, clock, history } = following(2);
  const [one, two] = pools;
  assert(one !== undefined && two !== undefined);
  one.pool.shared.counts.count(200, false);
  two.pool.shared.counts.count(500, false);
  two.pool.backends[0]?.countFailure();
  await clock.advance(1000);
  assertEquals(Object.keys(whole(history).pools), ["pool-0", "pool-1"]);
  pools[1] = { name: "pool-1", pool: poolOf([1], memory.pool(2)) };
  one.pool.shared.counts.count(200, false);
  await clock.advance(1000);
  assertEquals(whole(history).total.requests, [2, 1]);
  assertEquals(history.view({ pool: "pool-1" }).pools["pool-1"]?.requests, [0, 0]);
  pools.pop();
  await clock.advance(1000);
  assertEquals(Object.keys(whole(history).pools), ["pool-0"]);
  assertEquals(history.view({ pool: "pool-1" }).pools, {});
});

Deno.test("TrafficHistory never shows fewer than no failures where a backend with failures leaves", async () => {
  const { pools: [one], clock, history } = following();
  const backend = one?.pool.backends[0];
  assert(one !== undefined && backend !== undefined);
  backend.countFailure();
  await clock.advance(1000);
  one.pool.remove(backend, "test");
  await clock.advance(1000);
  assertEquals(whole(history).total.failedAttempts, [1, 0]);
});

Deno.test("TrafficHistory follows routes by label, over reloads that keep them", async () => {
  const { memory: { routes: counts }, routes, clock, history } = following();
  const present = (...labels: string[]) => {
    counts.assign(labels);
    const places = counts.find(labels);
    routes.present = new Map(labels.flatMap((label, index) => {
      const place = places[index];
      return place === undefined ? [] : [[label, place]];
    }));
  };
  const count = (label: string, status: number) => {
    const place = routes.present.get(label);
    if (place !== undefined) counts.count(place, { status, failed: status === 503, durationMs: 1 });
  };
  present("a/*", "b/*", "c/*");
  for (const status of [200, 404, 500, 503]) count("a/*", status);
  count("b/*", 200);
  await clock.advance(1000);
  assertEquals(Object.keys(whole(history).routes), ["a/*", "b/*"]);
  const { requests, failed, "4xx": refused, "5xx": broken } = whole(history).routes["a/*"] ?? {};
  assertEquals([requests, failed, refused, broken], [[4], [1], [1], [2]]);
  present("c/*", "a/*");
  count("a/*", 200);
  await clock.advance(1000);
  present("b/*", "a/*");
  count("b/*", 200);
  await clock.advance(1000);
  assertEquals(history.view({ route: "a/*" }).routes["a/*"]?.requests, [4, 1, 0]);
  assertEquals(history.view({ route: "b/*" }).routes["b/*"]?.requests, [0, 0, 1], "it was gone meanwhile");
  assertEquals(history.view({ route: "c/*" }).routes, {});
});

// With 1,000 pools and as many routes, the answer is 7 MB. While it was made, no request got on for 0.7 s.
Deno.test("TrafficHistory makes a long answer in pieces that are all of the moment of the question", async () => {
  const { pools, clock, history } = following(50);
  const countAll = () => {
    for (const { pool } of pools) pool.shared.counts.count(200, false);
  };
  for (let second = 0; second < HISTORY_SECONDS; second++) {
    countAll();
    await clock.advance(1000);
  }
  const expected = whole(history);
  const pieces = history.pieces()[Symbol.iterator]();
  const texts = [pieces.next().value];
  countAll();
  countAll();
  await clock.advance(2000);
  for (let piece = pieces.next(); piece.done !== true; piece = pieces.next()) texts.push(piece.value);
  assert(texts.length > 50);
  assertEquals(JSON.parse(texts.join("")), expected);
});

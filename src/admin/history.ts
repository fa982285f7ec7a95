/** The traffic of the last five minutes, a second at a time: in total, of each pool and of each route. */

import type * as z from "zod";
import type { DeepReadonly } from "../config/fields.ts";
import type { Memory } from "../memory/memory.ts";
import type { TrafficSums } from "../memory/pool_counts.ts";
import type { SlotUse } from "../memory/slots.ts";
import type { Clock } from "../net/clock.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { historyAnswer } from "./answers.ts";

/** How far back the history goes. */
export const HISTORY_SECONDS = 300;

/** What is counted in a second. All but `active` are what happened in it. */
const COUNTED = ["requests", "failed", "4xx", "5xx", "failedAttempts"] as const;
const COLUMNS = [...COUNTED, "active"] as const satisfies readonly (keyof Series)[];

/** Totals so far, and requests in flight now. */
type Totals = Record<typeof COLUMNS[number], number>;

/** The object of `GET /history`. */
export type HistoryView = DeepReadonly<z.output<typeof historyAnswer>>;

/** A column of seconds for each figure, oldest first. */
export type Series = HistoryView["total"];

/** What to show beside the total. */
export interface HistoryFilter {
  readonly pool?: string | undefined;
  readonly route?: string | undefined;
}

/** A pool as it is now. */
export interface HistoryPool {
  readonly name: string;
  readonly pool: ServerPool;
}

export interface HistoryOptions {
  readonly memory: Memory;
  /** The pools that there are now. */
  readonly pools: () => Iterable<HistoryPool>;
  /** The routes that there are now, by label. A reload makes another map. */
  readonly routes: () => ReadonlyMap<string, SlotUse>;
  readonly clock: Clock;
}

/**
 * Looks at the counts in the middle of each second. A late look spreads what it finds over the seconds since the one
 * before. A pool or a route without traffic takes no memory, and one with traffic 7 KiB.
 */
export class TrafficHistory {
  readonly #options: HistoryOptions;
  readonly #total = new Track();
  readonly #pools = new Map<string, { readonly pool: ServerPool; readonly track: Track; before: Totals }>();
  readonly #routes = new Map<string, { readonly place: SlotUse; readonly track: Track; before: Totals }>();
  /** The totals of requests that went to no pool. */
  #elsewhere: TrafficSums;
  /** The last second that was looked at, since the Unix epoch. */
  #last: number;
  /** The first second that is known. */
  #first: number;
  #cancel: () => void = () => {};

  constructor(options: HistoryOptions) {
    const { memory, clock } = options;
    this.#options = options;
    this.#elsewhere = memory.elsewhere.sums();
    this.#last = secondOf(clock.now());
    this.#first = this.#last + 1;
  }

  /** Begins to look. Before that, there is nothing to show. */
  start(): void {
    const { clock } = this.#options;
    for (const { name, pool } of this.#options.pools()) this.#follow(name, pool);
    const next = () => {
      this.#cancel = clock.after(1000 - (clock.now() + 500) % 1000, () => {
        this.#look();
        next();
      });
    };
    next();
  }

  stop(): void {
    this.#cancel();
  }

  /**
   * The last five minutes, or as much as there is: the total, and what is asked for, with or without traffic.
   */
  view({ pool, route }: HistoryFilter): HistoryView {
    const { first, seconds, from } = this.#span();
    const series = (name: string | undefined, followed: { readonly track: Track } | undefined) =>
      name === undefined || followed === undefined ? {} : { [name]: followed.track.series(first, seconds) };
    return {
      from,
      seconds,
      total: this.#total.series(first, seconds),
      pools: series(pool, this.#pools.get(pool ?? "")),
      routes: series(route, this.#routes.get(route ?? "")),
    };
  }

  /**
   * The text of a `HistoryView` of all pools and routes with traffic. With thousands of them it is long: each piece takes
   * less than a millisecond, and others may have a turn between two pieces. All pieces are of the same moment.
   */
  pieces(): Iterable<string> {
    const { first, seconds, from } = this.#span();
    const copies = (tracks: ReadonlyMap<string, { readonly track: Track }>) =>
      Array.from(tracks).flatMap(([name, { track }]) => track.hasTraffic ? [[name, track.copy()] as const] : []);
    const total = JSON.stringify(this.#total.series(first, seconds));
    const head = `{"from":"${from}","seconds":${seconds},"total":${total}`;
    return piecesOf(head, { pools: copies(this.#pools), routes: copies(this.#routes) }, first, seconds);
  }

  /** The seconds that are known. */
  #span() {
    const first = Math.max(this.#first, this.#last - HISTORY_SECONDS + 1);
    return { first, seconds: Math.max(0, this.#last - first + 1), from: new Date(first * 1000).toISOString() };
  }

  #look(): void {
    const { memory, pools, clock } = this.#options;
    const second = secondOf(clock.now());
    if (second < this.#last) return this.#beginAnew(second); // the clock was set back
    if (second === this.#last) return;
    const span = { from: this.#last + 1, to: second };
    const sums = this.#lookAtPools(pools(), span);
    this.#lookAtRoutes(span);
    const elsewhere = memory.elsewhere.sums();
    const added = difference({ ...elsewhere, ...NO_ATTEMPTS }, { ...this.#elsewhere, ...NO_ATTEMPTS });
    this.#elsewhere = elsewhere;
    for (const column of COUNTED) sums[column] += added[column];
    this.#total.add(span, { ...sums, active: memory.requestTotals().active });
    this.#last = second;
  }

  /** Returns what has been added in all pools. */
  #lookAtPools(pools: Iterable<HistoryPool>, span: Span): Totals {
    const sums = noTotals();
    const present = new Set<string>();
    const nowMs = this.#options.clock.now();
    for (const { name, pool } of pools) {
      present.add(name);
      for (const { lastMinute } of pool.backends) lastMinute.look(nowMs);
      const followed = this.#follow(name, pool);
      const totals = totalsOf(pool);
      const added = difference(totals, followed.before);
      followed.track.add(span, added);
      followed.before = totals;
      for (const column of COUNTED) sums[column] += added[column];
    }
    for (const name of this.#pools.keys()) if (!present.has(name)) this.#pools.delete(name);
    return sums;
  }

  #lookAtRoutes(span: Span): void {
    const { memory: { routes: counts }, routes } = this.#options;
    const present = routes();
    for (const [label, place] of present) {
      const totals = { ...counts.sums(place), ...NO_ATTEMPTS };
      let followed = this.#routes.get(label);
      // A label that was gone and came back has another place, or another generation of it.
      if (followed?.place.slot !== place.slot || followed.place.generation !== place.generation) {
        this.#routes.set(label, followed = { place, track: new Track(), before: noTotals() });
      }
      followed.track.add(span, difference(totals, followed.before));
      followed.before = totals;
    }
    for (const label of this.#routes.keys()) if (!present.has(label)) this.#routes.delete(label);
  }

  /** A pool that ended and came back is another one. */
  #follow(name: string, pool: ServerPool) {
    let followed = this.#pools.get(name);
    if (followed?.pool !== pool) {
      followed = { pool, track: new Track(), before: totalsOf(pool) };
      this.#pools.set(name, followed);
    }
    return followed;
  }

  #beginAnew(second: number): void {
    this.#last = second;
    this.#first = second + 1;
  }
}

/** The seconds since the look before, both ends included. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** The seconds of one pool or route, or of all. */
class Track {
  /** For each column a ring of seconds; `undefined`: nothing has happened yet. */
  #rings: Float32Array | undefined;

  get hasTraffic(): boolean {
    return this.#rings !== undefined;
  }

  /** Spreads counts evenly over the seconds `from` to `to`. */
  add({ from, to }: Span, added: Totals): void {
    if (this.#rings === undefined && COLUMNS.every((column) => added[column] === 0)) return;
    const rings = this.#rings ??= new Float32Array(COLUMNS.length * HISTORY_SECONDS);
    const seconds = to - from + 1;
    for (let second = Math.max(from, to - HISTORY_SECONDS + 1); second <= to; second++) {
      COLUMNS.forEach((column, index) => {
        const value = column === "active" ? added.active : added[column] / seconds;
        rings[index * HISTORY_SECONDS + second % HISTORY_SECONDS] = value;
      });
    }
  }

  /** As it is now. */
  copy(): Track {
    const copy = new Track();
    copy.#rings = this.#rings?.slice();
    return copy;
  }

  series(first: number, seconds: number): Series {
    const columns = COLUMNS.map((column, index) => [column, this.#column(index, first, seconds)]);
    return Object.fromEntries(columns);
  }

  #column(column: number, first: number, seconds: number): number[] {
    const values = new Array<number>(seconds).fill(0);
    if (this.#rings === undefined) return values;
    const ring = column * HISTORY_SECONDS;
    for (let offset = 0; offset < seconds; offset++) {
      const value = this.#rings[ring + (first + offset) % HISTORY_SECONDS] ?? 0;
      values[offset] = Math.round(value * 100) / 100;
    }
    return values;
  }
}

/** The pieces of the text that begins with `head`. */
function* piecesOf(
  head: string,
  groups: Readonly<Record<string, readonly (readonly [string, Track])[]>>,
  first: number,
  seconds: number,
): Iterable<string> {
  yield head;
  for (const [group, tracks] of Object.entries(groups)) {
    yield `,"${group}":{`;
    let comma = "";
    for (const [name, track] of tracks) {
      yield `${comma}${JSON.stringify(name)}:${JSON.stringify(track.series(first, seconds))}`;
      comma = ",";
    }
    yield "}";
  }
  yield "}";
}

const NO_ATTEMPTS = { failedAttempts: 0, active: 0 };

function noTotals(): Totals {
  return { requests: 0, failed: 0, "4xx": 0, "5xx": 0, ...NO_ATTEMPTS };
}

function totalsOf({ backends, shared: { counts, line } }: ServerPool): Totals {
  let failedAttempts = 0;
  let active = line.queued();
  for (const backend of backends) {
    failedAttempts += backend.totalFailures;
    active += backend.currentConnections;
  }
  return { ...counts.sums(), failedAttempts, active };
}

/** What has been added. A removed backend takes its failures along, which is no negative count. */
function difference(now: Totals, before: Totals): Totals {
  const added = { ...now };
  for (const column of COUNTED) added[column] = Math.max(0, now[column] - before[column]);
  return added;
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1000);
}

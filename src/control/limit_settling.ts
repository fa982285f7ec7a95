/**
 * Settles limits over all replicas: tells the store every 100 ms what this replica has let through, and puts in force
 * how much all of them have spent. Requests never wait for it. While it fails, each replica has a fixed share.
 */

import { hexDigestOf } from "../digest.ts";
import { MOST_TOLD, type Settled, type Spent } from "../cluster/settlement.ts";
import type { Limits } from "../memory/limits.ts";
import { burstMs, isSettled, type RateLimit, settledShareOf, shareOf } from "../memory/rate_share.ts";
import type { RateKey, RateSeed, RateTable } from "../memory/rate_table.ts";
import type { Clock } from "../net/clock.ts";

const EVERY_MS = 100;
/** How long the store keeps at least what nobody asks for. */
const KEPT_MS = 60_000;

/** What a `LimitSettling` works with. */
export interface LimitSettlingOptions {
  readonly limits: Limits;
  readonly replicas: () => number;
  /** What keys are made with. The replicas may agree on another one later, if the store was away at the start. */
  readonly seed: () => RateSeed;
  /** Settles with the other replicas. `undefined`: it can't be done now. */
  readonly settle: (spent: readonly Spent[], keepMs: number) => Promise<readonly Settled[] | undefined>;
  readonly clock: Clock;
}

/** What is kept of a limit from one round to the next. */
interface KnownLimit {
  /** The short name that all replicas give it. */
  readonly short: string;
  table: RateTable;
}

/** A limit whose shares follow what all replicas have let through. */
interface SettledLimit {
  readonly whole: RateLimit;
  readonly share: RateLimit;
  readonly table: RateTable;
}

export class LimitSettling {
  readonly #options: LimitSettlingOptions;
  readonly #known = new Map<string, KnownLimit>();
  #cancel: (() => void) | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: LimitSettlingOptions) {
    this.#options = options;
    this.#next();
  }

  /** Settles when nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#round;
  }

  #next(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(EVERY_MS, () => {
      this.#round = this.#settle().finally(() => this.#next());
    });
  }

  async #settle(): Promise<void> {
    const { limits, replicas, settle, clock } = this.#options;
    if (limits.useSeed(this.#options.seed())) return limits.shareAmong(replicas()); // and settle when counts are of new keys
    const settled = this.#settledLimits(replicas());
    // Of what was let through from a fixed share, much is paid back. What is left of it is known.
    const most = limits.settles ? undefined : leftOver(replicas(), clock.now());
    const heard = settled.size === 0 ? undefined : await settle(spentOf(settled, most), keptMs(settled));
    if (heard !== undefined) putInForce(heard, settled, clock.now());
    limits.shareAmong(replicas(), heard !== undefined);
  }

  /** By short name. */
  #settledLimits(replicas: number): Map<string, SettledLimit> {
    const { limits } = this.#options;
    const settled = new Map<string, SettledLimit>();
    for (const [name, whole] of limits.cluster) {
      if (!isSettled(whole, replicas)) continue;
      const { short, table } = this.#knownAs(name);
      settled.set(short, { whole, share: settledShareOf(whole, replicas), table });
    }
    for (const name of this.#known.keys()) if (!limits.cluster.has(name)) this.#known.delete(name);
    return settled;
  }

  #knownAs(name: string): KnownLimit {
    const { limits } = this.#options;
    let known = this.#known.get(name);
    if (known === undefined) {
      known = { short: hexDigestOf(name, 16), table: limits.rate(name) };
      this.#known.set(name, known);
    } else if (known.table.buffer !== limits.shared.rates.get(name)) known.table = limits.rate(name);
    return known;
  }
}

/** The most that a key can have spent of a fixed share. */
type MostSpent = (limit: SettledLimit, key: RateKey) => number;

function leftOver(replicas: number, nowMs: number): MostSpent {
  return ({ whole, table }, key) => {
    const share = shareOf(whole, replicas);
    const ticks = table.peek(key, share, nowMs);
    return ticks < 0 ? share.burst : Math.ceil(ticks / share.ticksPerRequest) - 1;
  };
}

function spentOf(limits: ReadonlyMap<string, SettledLimit>, mostSpent: MostSpent = () => Infinity): Spent[] {
  const most = Math.max(1, Math.floor(MOST_TOLD / limits.size));
  return Array.from(limits, ([name, limit]) => {
    const { whole, table } = limit;
    const usPerRequest = whole.ticksPerRequest / whole.ticksPerMs * 1000;
    return table.takeCounts(most).map(({ count, ...key }): Spent => ({
      field: `${name}:${hex(key.high)}${hex(key.low)}`,
      spentUs: Math.round(Math.min(count, mostSpent(limit, key)) * usPerRequest),
      burstUs: Math.round(whole.burst * usPerRequest),
    }));
  }).flat();
}

/** What the store says may be anything. Of limits and keys that are not ours, nothing is used. */
function putInForce(heard: readonly Settled[], limits: ReadonlyMap<string, SettledLimit>, nowMs: number): void {
  for (const { field, wholeAfterMs } of heard) {
    const limit = limits.get(field.slice(0, 16));
    if (limit === undefined || !/^[0-9a-f]{16}:[0-9a-f]{16}$/.test(field)) continue;
    const key = { high: parseInt(field.slice(17, 25), 16) | 0, low: parseInt(field.slice(25), 16) | 0 };
    if (key.high === 0 && key.low === 0) continue;
    limit.table.settle(key, limit.share, wholeAfterMs * limit.whole.ticksPerMs, nowMs);
  }
}

function keptMs(limits: ReadonlyMap<string, SettledLimit>): number {
  return Math.max(KEPT_MS, ...Array.from(limits.values(), ({ whole }) => 2 * burstMs(whole)));
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

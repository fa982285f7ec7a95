/**
 * The memory of limits, by their names. Each limit has a buffer of its own. The control plane allocates it before it puts
 * a configuration in force; workers get it with the configuration. A limit that stays keeps its counts.
 */

import type { Arena } from "./arena.ts";
import { ConcurrencyCells } from "./concurrency_cells.ts";
import type { RateLimit } from "./rate_share.ts";
import { type RateSeed, RateTable } from "./rate_table.ts";

/** Which limits there are. */
export interface LimitNames {
  readonly concurrency: readonly string[];
  readonly rates: readonly string[];
  /** The limits over all replicas. */
  readonly cluster: ReadonlyMap<string, RateLimit>;
}

/** What another isolate needs to `adopt` the limits. */
export interface SharedLimits {
  readonly concurrency: ReadonlyMap<string, SharedArrayBuffer>;
  readonly rates: ReadonlyMap<string, SharedArrayBuffer>;
}

/** One isolate's view of the limits. */
export class Limits {
  readonly #isolates: number;
  readonly #isolate: number;
  /** One cell: twice the number of replicas that share the limits of the cluster, and 1 if they settle. */
  readonly #sharing: Int32Array;
  #seed: RateSeed | undefined;
  #cluster: ReadonlyMap<string, RateLimit> = new Map();
  #shared: SharedLimits = { concurrency: new Map(), rates: new Map() };

  static readonly lines = 1;

  constructor(arena: Arena) {
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
    this.#sharing = arena.take(Limits.lines).words;
  }

  /** How many replicas, with this one, share the limits of the cluster. */
  get replicas(): number {
    return Math.max(1, this.sharing >> 1);
  }

  /** Whether the replicas tell each other what they let through. */
  get settles(): boolean {
    return (this.sharing & 1) === 1;
  }

  /** Another number when `replicas` or `settles` has changed. */
  get sharing(): number {
    return Atomics.load(this.#sharing, 0);
  }

  /** Control plane only. The next request in any isolate gets a share of that size. */
  shareAmong(replicas: number, settles = false): void {
    Atomics.store(this.#sharing, 0, 2 * replicas + (settles ? 1 : 0));
  }

  /**
   * What the keys of limits over all replicas are made with. Returns whether that is another one than before: then counts
   * begin anew. Other isolates use it from the next change of `sharing` on. Control plane only.
   */
  useSeed(seed: RateSeed): boolean {
    if (this.#seed?.[0] === seed[0] && this.#seed[1] === seed[1]) return false;
    this.#seed = seed;
    for (const name of this.#cluster.keys()) this.rate(name).reseed(seed);
    return true;
  }

  /** The limits over all replicas. Control plane only. */
  get cluster(): ReadonlyMap<string, RateLimit> {
    return this.#cluster;
  }

  /** Gives each of these limits memory, and keeps that of those that stay. Control plane only. */
  assign({ concurrency, rates, cluster }: LimitNames): void {
    this.#cluster = cluster;
    this.#shared = {
      concurrency: kept(this.#shared.concurrency, concurrency, () => ConcurrencyCells.allocate(this.#isolates)),
      rates: kept(this.#shared.rates, [...rates, ...cluster.keys()], (name) => {
        return RateTable.allocate(Date.now(), undefined, cluster.has(name) ? this.#seed : undefined);
      }),
    };
  }

  get shared(): SharedLimits {
    return this.#shared;
  }

  /** Uses the limits of the control plane. */
  adopt(shared: SharedLimits): void {
    this.#shared = shared;
  }

  concurrency(name: string): ConcurrencyCells {
    return new ConcurrencyCells(found(this.#shared.concurrency, name), this.#isolate);
  }

  rate(name: string): RateTable {
    return new RateTable(found(this.#shared.rates, name), this.#isolate);
  }

  /** Gives back what an ended isolate held. Control plane only. */
  reclaim(isolate: number): void {
    for (const buffer of this.#shared.concurrency.values()) {
      new ConcurrencyCells(buffer, this.#isolate).reclaim(isolate);
    }
    for (const buffer of this.#shared.rates.values()) new RateTable(buffer, this.#isolate).reclaim(isolate);
  }
}

function kept(
  before: ReadonlyMap<string, SharedArrayBuffer>,
  names: readonly string[],
  allocate: (name: string) => SharedArrayBuffer,
): ReadonlyMap<string, SharedArrayBuffer> {
  return new Map(names.map((name) => [name, before.get(name) ?? allocate(name)]));
}

function found(buffers: ReadonlyMap<string, SharedArrayBuffer>, name: string): SharedArrayBuffer {
  const buffer = buffers.get(name);
  if (buffer === undefined) throw new Error(`there is no memory for the limit ${name}`);
  return buffer;
}

/**
 * The memory of limits, by their names. Each limit has a buffer of its own. The control plane allocates it before it puts
 * a configuration in force; workers get it with the configuration. A limit that stays keeps its counts.
 */

import type { Arena } from "./arena.ts";
import { ConcurrencyCells } from "./concurrency_cells.ts";
import { RateTable } from "./rate_table.ts";

/** Which limits there are. */
export interface LimitNames {
  readonly concurrency: readonly string[];
  readonly rates: readonly string[];
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
  /** One cell: how many replicas share the limits of the cluster. 0: it was never said. */
  readonly #replicas: Int32Array;
  #shared: SharedLimits = { concurrency: new Map(), rates: new Map() };

  static readonly lines = 1;

  constructor(arena: Arena) {
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
    this.#replicas = arena.take(Limits.lines).words;
  }

  /** How many replicas, with this one, share the limits of the cluster. */
  get replicas(): number {
    return Math.max(1, Atomics.load(this.#replicas, 0));
  }

  /** Control plane only. The next request in any isolate gets a share of that size. */
  shareAmong(replicas: number): void {
    Atomics.store(this.#replicas, 0, replicas);
  }

  /** Gives each of these limits memory, and keeps that of those that stay. Control plane only. */
  assign({ concurrency, rates }: LimitNames): void {
    this.#shared = {
      concurrency: kept(this.#shared.concurrency, concurrency, () => ConcurrencyCells.allocate(this.#isolates)),
      rates: kept(this.#shared.rates, rates, () => RateTable.allocate(Date.now())),
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
  allocate: () => SharedArrayBuffer,
): ReadonlyMap<string, SharedArrayBuffer> {
  return new Map(names.map((name) => [name, before.get(name) ?? allocate()]));
}

function found(buffers: ReadonlyMap<string, SharedArrayBuffer>, name: string): SharedArrayBuffer {
  const buffer = buffers.get(name);
  if (buffer === undefined) throw new Error(`there is no memory for the limit ${name}`);
  return buffer;
}

/** Changes of who is in the pools of a process, one after the other: one queue for all pools, whoever asks. */

import type { BackendSpec } from "../config/schema.ts";
import type { Backend } from "./backend.ts";
import { mustHaveRoom, type ServerPool } from "./server_pool.ts";

/** A list that a pool is to have, from whoever owns it: the configuration file, say. */
export interface WantedBackends {
  readonly pool: ServerPool;
  readonly specs: readonly BackendSpec[];
  /** Whether new backends count as up before a check has passed. */
  readonly up: boolean;
  readonly reason: string;
  /** The files of authorities that hold something else than when the backends in the pool were made. */
  readonly newAuthorities?: ReadonlySet<string>;
}

/** What a new list changed; URLs. */
export interface Difference {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** Makes the changes that it is asked for in their order. So each sees all that were answered before it. */
export class ChangeQueue {
  /** Settles when all that forward go by what the pools hold. */
  readonly settled: () => Promise<void>;
  readonly #lists: Lists;
  #last: Promise<unknown> = Promise.resolve();

  constructor(settled: () => Promise<void>) {
    this.settled = settled;
    this.#lists = new Lists(settled);
  }

  /** Runs a change when all before it are done; those asked for later wait for it. */
  run<T>(change: (lists: Lists) => T | Promise<T>): Promise<T> {
    const result = this.#last.then(() => change(this.#lists));
    this.#last = result.catch(() => {}); // whoever asked for it is told
    return result;
  }

  /** Settles when the changes asked for by now are done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** What a change may do with whole lists while it runs. */
export class Lists {
  readonly #settled: () => Promise<void>;

  constructor(settled: () => Promise<void>) {
    this.#settled = settled;
  }

  /**
   * Sees to it that these lists can replace the present ones as a whole. Places of backends removed before come free when
   * every isolate has heard of that, which is waited for.
   *
   * @throws {PoolFullError} when there is no room; nothing has changed
   */
  async makeRoom(all: readonly WantedBackends[]): Promise<void> {
    try {
      mustHaveRoomFor(all);
    } catch {
      await this.#settled();
      mustHaveRoomFor(all);
    }
  }

  /**
   * Makes a pool's list what its owner says, in one step; there has to be room. Backends that stay keep their counters,
   * health, connections and the operator's `state`; those that only the admin API knew go.
   */
  replace(wanted: WantedBackends): Difference {
    const { pool, specs, up, reason } = wanted;
    const { gone, fresh, kept } = compare(wanted);
    const urls = new Set(specs.map(({ url }) => url));
    const before = new Set(gone.map(({ url }) => url));
    pool.swap({ removed: gone, added: fresh }, reason, up);
    const changed = fresh.filter(({ url }) => before.has(url)).map(({ url }) => url);
    for (const [backend, { url, weight, maxConnections, backup }] of kept) {
      if (pool.update(backend, { weight, maxConnections, backup }, reason)) changed.push(url);
    }
    return {
      added: fresh.filter(({ url }) => !before.has(url)).map(({ url }) => url),
      removed: gone.filter(({ url }) => !urls.has(url)).map(({ url }) => url),
      changed,
    };
  }
}

/** Removals count before additions, in whichever pools: a reload may move backends from a pool to another. */
function mustHaveRoomFor(all: readonly WantedBackends[]): void {
  const [first] = all;
  if (first === undefined) return;
  let [removed, added] = [0, 0];
  for (const { gone, fresh } of all.map(compare)) {
    removed += gone.length;
    added += fresh.length;
  }
  mustHaveRoom(first.pool.shared.memory.slots, { removed, added });
}

function compare({ pool, specs, newAuthorities = new Set() }: WantedBackends) {
  const wanted = new Map(specs.map((spec) => [spec.url, spec]));
  const present = new Map(pool.backends.map((backend) => [backend.url, backend]));
  const gone: Backend[] = [];
  const kept: (readonly [Backend, BackendSpec])[] = [];
  for (const backend of pool.backends) {
    const spec = wanted.get(backend.url);
    if (spec !== undefined && keeps(backend, spec, newAuthorities)) kept.push([backend, spec]);
    else {
      gone.push(backend);
      present.delete(backend.url);
    }
  }
  return { gone, kept, fresh: specs.filter(({ url }) => !present.has(url)) };
}

/** How connections to a backend are encrypted is part of what it is: with other settings it is another backend. */
function keeps({ tls }: Backend, spec: BackendSpec, newAuthorities: ReadonlySet<string>): boolean {
  if (JSON.stringify(spec.tls) !== JSON.stringify(tls)) return false;
  return tls.ca === null || !newAuthorities.has(tls.ca);
}

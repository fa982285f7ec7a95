/** Makes changes of the lists of backends one after the other. There is one queue for all pools and all callers. */

import type { BackendSpec } from "../config/schema.ts";
import type { Backend } from "./backend.ts";
import { mustHaveRoom, type ServerPool } from "./server_pool.ts";

/** A list of backends that a pool is to have. It comes from the owner of the list, such as the configuration file. */
export interface WantedBackends {
  readonly pool: ServerPool;
  readonly specs: readonly BackendSpec[];
  /** Whether new backends count as up before a check has passed. */
  readonly up: boolean;
  readonly reason: string;
  /** Files of backends' `tls` whose content has changed since the present backends were made. */
  readonly changedFiles?: ReadonlySet<string>;
}

/** What matters of a list before it is put in force. */
export type WantedList = Pick<WantedBackends, "pool" | "specs" | "changedFiles">;

/** The URLs that a new list added, removed or changed. */
export interface Difference {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** Runs changes in the order in which they were asked for. So each change sees the results of all earlier ones. */
export class ChangeQueue {
  /** Settles when all isolates that forward requests use the present lists. */
  readonly settled: () => Promise<void>;
  readonly #lists: Lists;
  #last: Promise<unknown> = Promise.resolve();

  constructor(settled: () => Promise<void>) {
    this.settled = settled;
    this.#lists = new Lists(settled);
  }

  /** Runs a change when all earlier ones have ended. Later ones wait for it. */
  run<T>(change: (lists: Lists) => T | Promise<T>): Promise<T> {
    const result = this.#last.then(() => change(this.#lists));
    this.#last = result.catch(() => {}); // the caller gets the error
    return result;
  }

  /** Settles when the changes that were asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** What a running change may do with whole lists. */
export class Lists {
  readonly #settled: () => Promise<void>;

  constructor(settled: () => Promise<void>) {
    this.#settled = settled;
  }

  /**
   * Makes sure that these lists can replace the present ones completely. If there is too little room, waits until all
   * isolates have heard of earlier removals, because that frees slots.
   *
   * @throws {PoolFullError} when there is not enough room. Nothing has changed then
   */
  async makeRoom(all: readonly WantedList[]): Promise<void> {
    try {
      mustHaveRoomFor(all);
    } catch {
      await this.#settled();
      mustHaveRoomFor(all);
    }
  }

  /**
   * Replaces the list of a pool in one step. There must be room. Backends that stay keep their counters, health,
   * connections and the operator's `state`. Backends that are not in the new list are removed, also those that were
   * added by the admin API.
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

/**
 * Checks the room for all lists together. Removals count first, because a reload may move backends from one pool to
 * another.
 *
 * @throws {PoolFullError} when there is not enough
 */
function mustHaveRoomFor(all: readonly WantedList[]): void {
  const [first] = all;
  if (first === undefined) return;
  let [removed, added] = [0, 0];
  for (const { gone, fresh } of all.map(compare)) {
    removed += gone.length;
    added += fresh.length;
  }
  mustHaveRoom(first.pool.shared.memory.slots, { removed, added });
}

/** Tells which backends a new list removes, keeps and adds. One with other TLS settings is removed and added. */
export function compare({ pool, specs, changedFiles = new Set() }: WantedList) {
  const wanted = new Map(specs.map((spec) => [spec.url, spec]));
  const present = new Map(pool.backends.map((backend) => [backend.url, backend]));
  const gone: Backend[] = [];
  const kept: (readonly [Backend, BackendSpec])[] = [];
  for (const backend of pool.backends) {
    const spec = wanted.get(backend.url);
    if (spec !== undefined && keeps(backend, spec, changedFiles)) kept.push([backend, spec]);
    else {
      gone.push(backend);
      present.delete(backend.url);
    }
  }
  return { gone, kept, fresh: specs.filter(({ url }) => !present.has(url)) };
}

/**
 * Whether a backend stays. A backend with other TLS settings, or with a changed file of them, is a new backend.
 */
function keeps({ tls }: Backend, spec: BackendSpec, changedFiles: ReadonlySet<string>): boolean {
  if (spec.tls !== tls && JSON.stringify(spec.tls) !== JSON.stringify(tls)) return false;
  return !usesOneOf(changedFiles, tls);
}

/** Whether the TLS settings of a backend name one of these files. */
export function usesOneOf(files: ReadonlySet<string>, { ca, cert, key }: BackendSpec["tls"]): boolean {
  return files.size > 0 && [ca, cert, key].some((path) => path !== null && files.has(path));
}

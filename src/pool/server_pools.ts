/** All pools of one isolate together, for those who look after the backends of all of them. */

import type { PoolEvent, ServerPool } from "./server_pool.ts";

/** Told what happens in all pools. */
export interface ServerPoolsListener {
  poolChanged(event: PoolEvent, pool: ServerPool): void;
  /** A pool has ended. Its last backend has left before. */
  poolLeft?(pool: ServerPool): void;
}

/** The pools that are there now, also those that are ending. They come and go with reloads. */
export class ServerPools implements Iterable<ServerPool> {
  /** Each with the function that ends the subscription to it. */
  readonly #pools = new Map<ServerPool, () => void>();
  readonly #listeners = new Set<ServerPoolsListener>();

  /** Adds a pool. The listeners are told about the backends that it gets from now on. */
  join(pool: ServerPool): void {
    const unsubscribe = pool.subscribe((event) => {
      for (const listener of this.#listeners) listener.poolChanged(event, pool);
    });
    this.#pools.set(pool, unsubscribe);
  }

  /** Removes a pool, which must be empty. */
  leave(pool: ServerPool): void {
    this.#pools.get(pool)?.();
    if (!this.#pools.delete(pool)) return;
    for (const listener of this.#listeners) listener.poolLeft?.(pool);
  }

  /** Calls `listener` from now on, until the returned function is called. */
  subscribe(listener: ServerPoolsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.iterator](): Iterator<ServerPool> {
    return this.#pools.keys();
  }
}

/** A pool in a worker. It follows the orders of the control plane. */

import type { PoolSettings } from "../config/pool_settings.ts";
import type { Memory } from "../memory/memory.ts";
import { SessionTable, type SharedSessions } from "../memory/session_table.ts";
import { ServerPool } from "../pool/server_pool.ts";
import type { News, PoolSwap } from "./messages.ts";
import { RemotePassiveHealth } from "./remote_passive.ts";
import type { ServedPool } from "./served_pool.ts";

const REASON = "control plane";

/** What a `FollowingPool` needs. */
export interface FollowingPoolOptions {
  readonly name: string;
  /** The pool's number in the shared memory. */
  readonly number: number;
  readonly memory: Memory;
  readonly settings: PoolSettings;
  readonly send: (news: News) => void;
}

/** Owns all parts of one pool in a worker, except those that forward requests to it. */
export class FollowingPool implements ServedPool {
  readonly name: string;
  readonly pool: ServerPool;
  readonly passive: RemotePassiveHealth;
  readonly #isolate: number;
  #sessions: SessionTable | undefined;

  constructor({ name, number, memory, settings, send }: FollowingPoolOptions) {
    this.name = name;
    this.pool = new ServerPool(memory.pool(number), name);
    this.passive = new RemotePassiveHealth(settings, this.pool, send);
    this.#isolate = memory.isolate;
  }

  get sessions(): SessionTable | undefined {
    return this.#sessions;
  }

  configure(settings: PoolSettings, sessions: SharedSessions | undefined): void {
    this.passive.configure(settings);
    this.#sessions = sessions && SessionTable.attach(sessions, this.#isolate);
  }

  swap({ removed, added }: Omit<PoolSwap, "pool">): void {
    const leaving = new Map(removed.map(({ slot, drained }) => [slot, drained]));
    const backends = this.pool.backends.filter(({ slot }) => leaving.has(slot));
    for (const backend of backends) {
      if (leaving.get(backend.slot) === true) backend.endLasting();
    }
    this.pool.follow({ removed: backends, added }, REASON);
  }
}

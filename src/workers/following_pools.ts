/** The pools of a worker. They come and go as the control plane orders. */

import { type PoolSettings, poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import type { Memory } from "../memory/memory.ts";
import { ServerPools } from "../pool/server_pools.ts";
import { FollowingPool } from "./following_pool.ts";
import type { News, PoolSessions, StartedPool, SwapOrder } from "./messages.ts";
import type { ServedPools } from "./served_pool.ts";

/** What `FollowingPools` needs. */
export interface FollowingPoolsOptions {
  readonly memory: Memory;
  readonly send: (news: News) => void;
}

/** What pools a worker has to have with a configuration. */
export interface ConfiguredPools {
  readonly config: Config;
  /** Those that the worker does not have yet. */
  readonly begun: readonly StartedPool[];
  /** All pools of the configuration, in its order. */
  readonly sessions: readonly PoolSessions[];
}

/** Owns the pools of one worker. */
export class FollowingPools implements ServedPools<FollowingPool> {
  readonly serverPools: ServerPools = new ServerPools();
  readonly #options: FollowingPoolsOptions;
  #byName: ReadonlyMap<string, FollowingPool> = new Map();
  /** Also those that no new request is sent to. */
  readonly #byNumber = new Map<number, FollowingPool>();

  constructor(options: FollowingPoolsOptions) {
    this.#options = options;
  }

  get(name: string): FollowingPool | undefined {
    return this.#byName.get(name);
  }

  [Symbol.iterator](): Iterator<FollowingPool> {
    return this.#byName.values();
  }

  /** Follows a configuration. Pools that it does not name stay until they are ended. */
  configure({ config, begun, sessions: all }: ConfiguredPools): void {
    const settings = poolsOf(config);
    for (const pool of begun) this.#begin(pool, settingsOf(pool.name, settings));
    const byName = new Map<string, FollowingPool>();
    for (const { pool: number, sessions } of all) {
      const pool = this.#byNumber.get(number);
      if (pool === undefined) throw new Error(`the worker does not have the pool ${number}`);
      pool.configure(settingsOf(pool.name, settings), sessions);
      byName.set(pool.name, pool);
    }
    this.#byName = byName;
  }

  /** Changes pools in one step, then ends those that have become useless. */
  swap({ swaps, ended }: Omit<SwapOrder, "type">): void {
    for (const swap of swaps) this.#byNumber.get(swap.pool)?.swap(swap);
    for (const number of ended) {
      const pool = this.#byNumber.get(number);
      this.#byNumber.delete(number);
      if (pool !== undefined) this.serverPools.leave(pool.pool);
    }
  }

  #begin({ pool: number, name, backends }: StartedPool, settings: PoolSettings): void {
    const following = new FollowingPool({ name, number, settings, ...this.#options });
    this.#byNumber.set(number, following);
    this.serverPools.join(following.pool);
    following.swap({ removed: [], added: backends });
  }
}

function settingsOf(name: string, settings: ReadonlyMap<string, PoolSettings>): PoolSettings {
  const found = settings.get(name);
  if (found === undefined) throw new Error(`the configuration has no pool ${name}`);
  return found;
}

/** What the configuration says of one pool. */

import type { Config } from "./schema.ts";
import type { Path } from "./setting_path.ts";

/** The pool that there always is; the top level of the file describes it. */
export const DEFAULT_POOL_NAME = "default";

/** The settings that are a pool's own. The whole configuration has those of the pool `default`. */
export type PoolSettings = Pick<
  Config,
  "backends" | "discover" | "strategy" | "sticky" | "health" | "passive" | "queue"
>;

/** All pools: `default`, then the others in the order of the file. */
export function poolsOf(config: Config): ReadonlyMap<string, PoolSettings> {
  return new Map<string, PoolSettings>([[DEFAULT_POOL_NAME, config], ...Object.entries(config.pools)]);
}

/** Where the settings of a pool stand in the file. */
export function poolPath(name: string): Path {
  return name === DEFAULT_POOL_NAME ? [] : ["pools", name];
}

/** Whether new backends count as up before a check has passed. Without checks nobody would ever mark one up. */
export function startsUp({ health }: PoolSettings): boolean {
  return health.startUp || health.type === "none";
}

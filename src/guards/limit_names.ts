/** Which limits a configuration has, so that each of them gets memory. */

import type { LimitNames } from "../memory/limits.ts";
import { ALL_REQUESTS, type GuardOverrides, type GuardSettings } from "./guards.ts";
import { rateName, wholeLimit } from "./rate_limit.ts";

/** An entry with the name of its place. */
export type PlacedEntry = readonly [name: string, entry: GuardOverrides];

export function limitNames(settings: GuardSettings, entries: readonly PlacedEntry[]): LimitNames {
  const places: readonly PlacedEntry[] = [[ALL_REQUESTS, settings], ...entries];
  const rates = places.flatMap(([name, { rateLimit = null }]) => {
    return rateLimit === null ? [] : [[rateName(name, rateLimit), rateLimit] as const];
  });
  return {
    concurrency: places.flatMap(([name, { concurrency = null }]) => concurrency === null ? [] : [name]),
    rates: rates.filter(([, { scope }]) => scope === "local").map(([name]) => name),
    cluster: new Map(
      rates.filter(([, { scope }]) => scope === "cluster").map(([name, config]) => [name, wholeLimit(config)]),
    ),
  };
}

/** Which limits a configuration has, so that each of them gets memory. */

import type { Config } from "../config/schema.ts";
import type { LimitNames } from "../memory/limits.ts";
import { ALL_REQUESTS, type GuardOverrides, type GuardSettings } from "./guards.ts";
import { rateName, wholeLimit } from "./rate_limit.ts";

/** `mirror` is no guard, but copies are counted as requests in flight are. */
interface Mirroring<Absent = never> {
  readonly mirror: Config["mirror"] | Absent;
}

/** An entry with the name of its place. */
export type PlacedEntry = readonly [name: string, entry: GuardOverrides & Partial<Mirroring<undefined>>];

/** The name of the memory of the copies that a `mirror` is making. No place has this name. */
export function mirrorName(place: string): string {
  return `mirror ${place}`;
}

export function limitNames(settings: GuardSettings & Mirroring, entries: readonly PlacedEntry[]): LimitNames {
  const places: readonly PlacedEntry[] = [[ALL_REQUESTS, settings], ...entries];
  const rates = places.flatMap(([name, { rateLimit = null }]) => {
    return rateLimit === null ? [] : [[rateName(name, rateLimit), rateLimit] as const];
  });
  return {
    concurrency: places.flatMap(([name, { concurrency = null, mirror = null }]) => [
      ...concurrency === null ? [] : [name],
      ...mirror === null ? [] : [mirrorName(name)],
    ]),
    rates: rates.filter(([, { scope }]) => scope === "local").map(([name]) => name),
    cluster: new Map(
      rates.filter(([, { scope }]) => scope === "cluster").map(([name, config]) => [name, wholeLimit(config)]),
    ),
  };
}

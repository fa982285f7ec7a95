/** Other weights for a split of the configuration in force. */

import type { SplitChange } from "../backend_change.ts";
import { nearest } from "../nearest.ts";
import type { Config } from "../schema.ts";

/** The configuration has no such route, or the route has no such entry. */
export class UnknownEntryError extends Error {
  override readonly name = "UnknownEntryError";
}

/** The entry can't have these weights. */
export class SplitMismatchError extends Error {
  override readonly name = "SplitMismatchError";
}

/**
 * Returns the configuration with other weights in one split. Sides that are not named keep their weight.
 *
 * @throws {UnknownEntryError} when there is no such route or entry
 * @throws {SplitMismatchError} when the entry is no split, when it does not lead to a pool that is named, or when every
 * weight would be 0
 */
export function withMovedSplit(config: Config, { route, entry, weights }: Omit<SplitChange, "kind">): Config {
  const routes = config.routes ?? {};
  const entries = Object.hasOwn(routes, route) ? routes[route] : undefined;
  if (entries === undefined) throw new UnknownEntryError(noRoute(route, Object.keys(routes)));
  const before = entries[entry];
  if (before === undefined) {
    const has = entries.length === 1 ? "entry 0 only" : `entries 0 to ${entries.length - 1}`;
    throw new UnknownEntryError(`entry: got ${entry}, but ${JSON.stringify(route)} has ${has}`);
  }
  const pool = before.pool ?? {};
  if (Object.keys(pool).length < 2) throw new SplitMismatchError(`pool: the entry is no split`);
  const others = Object.keys(weights).filter((name) => !Object.hasOwn(pool, name));
  if (others.length > 0) {
    const sides = Object.keys(pool).join(", ");
    throw new SplitMismatchError(`pool: got ${others.join(", ")}, want sides of the split: ${sides}`);
  }
  const moved = { ...pool, ...weights };
  if (Object.values(moved).every((weight) => weight === 0)) {
    throw new SplitMismatchError("pool: got 0 for every side, want at least one weight above 0");
  }
  const changed = entries.map((other) => other === before ? { ...other, pool: moved } : other);
  return { ...config, routes: { ...routes, [route]: changed } };
}

function noRoute(route: string, known: readonly string[]): string {
  const near = nearest(route, known);
  const hint = near === undefined ? "" : `, did you mean ${JSON.stringify(near)}?`;
  return `route: there is no ${JSON.stringify(route)}${hint}`;
}

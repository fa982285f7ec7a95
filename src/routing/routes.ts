/** The routes of a configuration, ready for requests. */

import { parseRouteKey } from "../config/routes/route_key.ts";
import type { RouteEntry } from "../config/schema/routes.ts";
import { Condition, type RoutedRequest } from "./condition.ts";
import { Destination } from "./destination.ts";
import { type ReadFile, type Responder, responderFor } from "./own_response.ts";
import { type PathRewrite, pathRewrite } from "./path_rewrite.ts";
import type { PoolRuntime } from "./pool_runtime.ts";
import { AMBIGUOUS, RouteTable } from "./route_table.ts";

/** Names one entry, for figures and logs. */
export interface RouteIdentity {
  /** As the configuration writes it. */
  readonly key: string;
  /** The place in the list of the key, from 0. */
  readonly entry: number;
  readonly name: string | null;
  /** The key, with the name or the number of the entry where the key has several. */
  readonly label: string;
  /** Counts all entries of the configuration from 0, in the order of the file. */
  readonly number: number;
}

/** One entry. It has either a destination or a responder. */
export interface Route<Rules> {
  readonly identity: RouteIdentity;
  /** `undefined`: it takes every request of its key. */
  readonly condition: Condition | undefined;
  readonly destination: Destination | undefined;
  readonly respond: Responder | undefined;
  /** `undefined`: the target goes on as it is. */
  readonly rewrite: PathRewrite | undefined;
  /** How its requests are forwarded. */
  readonly rules: Rules;
}

/** What routes are made of. */
export interface RoutesOptions<Rules> {
  readonly routes: Readonly<Record<string, readonly RouteEntry[]>>;
  readonly pools: ReadonlyMap<string, PoolRuntime>;
  readonly rulesFor: (entry: RouteEntry, identity: Pick<RouteIdentity, "label">) => Rules;
  /** Reads the files of responses. */
  readonly readFile: ReadFile;
}

/** An immutable snapshot of one configuration. */
export class Routes<Rules> {
  readonly #table: RouteTable<readonly Route<Rules>[]>;

  constructor({ routes, pools, rulesFor, readFile }: RoutesOptions<Rules>) {
    let number = 0;
    this.#table = new RouteTable(
      Object.entries(routes).map(([key, entries]) => {
        const compiled = identify(key, entries).map((identity, index): Route<Rules> => {
          const entry = entries[index] as RouteEntry; // there are as many identities
          return {
            identity: { ...identity, number: number++ },
            condition: entry.when === null ? undefined : new Condition(entry.when),
            destination: entry.pool === null ? undefined : new Destination(entry.pool, entry.splitBy, pools),
            respond: responderFor(entry, readFile),
            rewrite: pathRewrite(entry),
            rules: rulesFor(entry, identity),
          };
        });
        return [parseRouteKey(key), compiled] as const;
      }),
    );
  }

  /**
   * Returns the entry that takes a request, `undefined` where none does, and `AMBIGUOUS` for a path that a backend may
   * read as one of another key.
   *
   * @param authority well-formed: a host, with or without a port
   */
  find(authority: string, request: RoutedRequest): Route<Rules> | typeof AMBIGUOUS | undefined {
    const entries = this.#table.find(authority, request.target);
    if (entries === undefined || entries === AMBIGUOUS) return entries;
    for (const entry of entries) {
      if (entry.condition === undefined || entry.condition.holds(request)) return entry;
    }
    return undefined;
  }
}

/** The labels of all entries, each at its number. */
export function routeLabels(routes: RoutesOptions<unknown>["routes"] | null): readonly string[] {
  return Object.entries(routes ?? {}).flatMap(([key, entries]) => identify(key, entries).map(({ label }) => label));
}

/** The names of a key's entries. */
export function identify(key: string, entries: readonly RouteEntry[]): Omit<RouteIdentity, "number">[] {
  return entries.map(({ name }, entry) => {
    const called = name ?? (entries.length === 1 ? undefined : `#${entry}`);
    return { key, entry, name, label: called === undefined ? key : `${key} ${called}` };
  });
}

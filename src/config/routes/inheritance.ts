/** The settings that count for an entry of a route, and where each of them comes from. */

import { GUARD_NAMES } from "../../errors.ts";
import { DEFAULT_POOL_NAME, poolPath } from "../pool_settings.ts";
import type { Config } from "../schema.ts";
import { showConfig } from "../show.ts";
import { formatPath, type Path, valueAt } from "../setting_path.ts";

/** A setting in the words of the file, without secrets. */
export interface SettingInForce {
  readonly value: unknown;
  /** Where the file says it, or could say it if it is a default: `timeouts.response`. */
  readonly from: string;
}

/** By the name that a setting has in an entry or in a pool. */
export type SettingsInForce = Readonly<Record<string, SettingInForce>>;

/** Settings of an entry, and where the top level has them. */
const OF_ENTRY: readonly (readonly [own: Path, top: Path])[] = [
  ...["connect", "response", "request", "idle"].map((key) => ["timeouts", key]),
  ["retries", "attempts"],
  ["retries", "statuses"],
  ["headers", "request", "remove"],
  ["headers", "response", "remove"],
  ...[...GUARD_NAMES, "mirror"].map((name) => [name]),
].map((path) => [path, path] as const);

const OF_PROXY = [
  [["maxBodySize"], ["proxy", "maxBodySize"]],
  [["compression"], ["proxy", "compression"]],
] as const;

const HEADERS = [["headers", "request"], ["headers", "response"]] as const;

/** Sections that a pool inherits key by key. */
const OF_POOL = ["health", "passive", "queue"] as const;

/**
 * The settings of forwarding for the requests of an entry.
 *
 * @param entry its key and its place in the list; `undefined`: the request has no route
 */
export function forwardingSettings(config: Config, entry: readonly [key: string, index: number] | undefined) {
  const shown = shownWith(config, { route: entry?.[0] });
  const base = entry === undefined ? undefined : ["routes", ...entry] as const;
  const isOnly = entry !== undefined && config.routes?.[entry[0]]?.length === 1;
  // An entry alone may be written without a list around it.
  const named = (own: Path) => formatPath(["routes", ...isOnly ? [entry[0]] : entry ?? [], ...own]);
  const settings: Record<string, SettingInForce> = {};
  for (const [own, top] of [...OF_ENTRY, ...OF_PROXY]) {
    const value = base && valueAt(shown, [...base, ...own]);
    settings[formatPath(own)] = value === undefined || value === null && !NULLABLE.has(formatPath(own))
      ? { value: valueAt(shown, top) ?? null, from: formatPath(top) }
      : { value, from: named(own) };
  }
  for (const side of HEADERS) {
    const set = [...side, "set"];
    const own = Object.entries(Object(base && valueAt(shown, [...base, ...set])));
    // What an entry sets or removes is not taken from the top level.
    const removed = Object(base && valueAt(shown, [...base, ...side, "remove"]) || []) as readonly string[];
    const changed = new Set([...own.map(([name]) => name), ...removed].map((name) => name.toLowerCase()));
    for (const [name, value] of Object.entries(Object(valueAt(shown, set)))) {
      const path = [...set, name];
      if (!changed.has(name.toLowerCase())) settings[formatPath(path)] = { value, from: formatPath(path) };
    }
    for (const [name, value] of own) settings[formatPath([...set, name])] = { value, from: named([...set, name]) };
  }
  return settings as SettingsInForce;
}

/** Settings of an entry for which `null` is a value of its own. */
const NULLABLE: ReadonlySet<string> = new Set(["maxBodySize", "mirror", ...GUARD_NAMES]);

/** The settings of a pool. What is the same at the top level counts as inherited. */
export function poolSettings(config: Config, name: string): SettingsInForce {
  const shown = shownWith(config, { pool: name });
  const base = poolPath(name);
  const settings: Record<string, SettingInForce> = {};
  const add = (path: Path, isSame: (own: unknown, top: unknown) => boolean) => {
    const [own, top] = [valueAt(shown, [...base, ...path]), valueAt(shown, path)];
    const from = name === DEFAULT_POOL_NAME || isSame(own, top) ? path : [...base, ...path];
    settings[formatPath(path)] = { value: own ?? null, from: formatPath(from) };
  };
  add(["strategy"], sameValue);
  add(["sticky"], (own, top) => sameValue(withoutCookie(own), withoutCookie(top)));
  for (const section of OF_POOL) {
    for (const key of Object.keys(Object(valueAt(shown, [section])))) add([section, key], sameValue);
  }
  return settings;
}

/** The configuration with one route or one pool at most: there may be thousands, which would take long to show. */
function shownWith(config: Config, { route, pool }: { readonly route?: string | undefined; readonly pool?: string }) {
  const entries = route === undefined ? undefined : config.routes?.[route];
  const settings = pool === undefined ? undefined : config.pools[pool];
  return showConfig({
    ...config,
    backends: [],
    routes: route === undefined || entries === undefined ? null : { [route]: entries },
    pools: pool === undefined || settings === undefined ? {} : { [pool]: settings },
  });
}

/** A pool that inherits its sessions has a cookie of its own all the same. */
function withoutCookie(sticky: unknown): unknown {
  return typeof sticky === "object" && sticky !== null ? { ...sticky, cookie: undefined } : sticky;
}

/** Both come from the same configuration, with their keys in the same order. */
function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

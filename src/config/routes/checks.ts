/** Rules between routes, and between routes and pools. */
import { plainForm } from "../../http1/path_form.ts";
import type { Diagnostic } from "../diagnostics.ts";
import { nearest } from "../nearest.ts";
import { poolsOf } from "../pool_settings.ts";
import type { Config } from "../schema.ts";
import type { RouteEntry } from "../schema/routes.ts";
import { formatPath, type Path } from "../setting_path.ts";
import { mirrors } from "./mirrors.ts";
import { keyText, parseRouteKey, type RouteKey } from "./route_key.ts";

/** What the rules for routes need to know beside the configuration. */
export interface RouteCheckContext {
  /** Whether a setting has the value that was given. A setting whose value was bad has its default here. */
  readonly isTrusted: (path: Path) => boolean;
  /** Why a file can't be read; `undefined`: it can. */
  readonly unreadable: (file: string) => string | undefined;
}

/** Every rule that the routes of `config` break. Paths name entries as if each route were a list. */
export function brokenRouteRules(config: Config, context: RouteCheckContext): Diagnostic[] {
  const routes = Object.entries(config.routes ?? {});
  const poolNames = [...poolsOf(config).keys()];
  const checked = { ...context, poolNames, known: new Set(poolNames) };
  const first = new Map<string, string>();
  const ofMirrors = mirrors(config).flatMap(({ path, pool }) => unknownPools(path, { [pool]: 1 }, checked));
  const ofRoutes = routes.flatMap(([written, entries]) => {
    const path: Path = ["routes", written];
    const key = parseRouteKey(written);
    return [
      ...sameKey(path, key, first),
      ...unreachable(path, entries),
      ...sameNames(path, entries),
      ...entries.flatMap((entry, index) => brokenIn([...path, index], { entry, key }, checked)),
    ];
  });
  return [...unknownAskedPool([], config, checked), ...ofMirrors, ...ofRoutes];
}

function sameKey(path: Path, key: RouteKey, first: Map<string, string>): Diagnostic[] {
  const text = keyText(key);
  const written = String(path.at(-1));
  const earlier = first.get(text);
  if (earlier === undefined) {
    first.set(text, written);
    return [];
  }
  return [{ path, text: `takes the same requests as ${formatPath(["routes", earlier])}, want one key with a list` }];
}

/** The first entry that no request gets to. */
function unreachable(path: Path, entries: readonly RouteEntry[]): Diagnostic[] {
  const taker = entries.findIndex(({ when }) => when === null);
  if (taker === -1 || taker === entries.length - 1) return [];
  const text = `got an entry that no request gets to, want it before ${
    formatPath([...path, taker])
  }, which has no "when"`;
  return [{ path: [...path, taker + 1], text }];
}

/** Figures and logs would mix them up. */
function sameNames(path: Path, entries: readonly RouteEntry[]): Diagnostic[] {
  return entries.flatMap(({ name }, index) => {
    const earlier = name === null ? index : entries.findIndex((entry) => entry.name === name);
    if (earlier === index) return [];
    const text = `got ${JSON.stringify(name)}, want another name than that of ${formatPath([...path, earlier])}`;
    return [{ path: [...path, index, "name"], text }];
  });
}

interface PoolNames extends Pick<RouteCheckContext, "isTrusted"> {
  readonly poolNames: readonly string[];
  readonly known: ReadonlySet<string>;
}

interface EntryContext extends RouteCheckContext, PoolNames {}

interface PlacedEntry {
  readonly entry: RouteEntry;
  readonly key: RouteKey;
}

function brokenIn(path: Path, { entry, key }: PlacedEntry, context: EntryContext): Diagnostic[] {
  const { pool, stripPrefix, respond } = entry;
  return [
    ...pool === null ? [] : unknownPools(path, pool, context),
    ...unknownAskedPool(path, entry, context),
    ...stripPrefix === null ? [] : foreignPrefix([...path, "stripPrefix"], stripPrefix, key),
    ...respond === null || respond.file === null
      ? []
      : unreadableFile([...path, "respond", "file"], respond.file, context),
  ];
}

function unknownPools(path: Path, pool: Readonly<Record<string, number>>, context: EntryContext): Diagnostic[] {
  const names = Object.keys(pool);
  return names.flatMap((name) => {
    return unknownPool(names.length === 1 ? [...path, "pool"] : [...path, "pool", name], name, context);
  });
}

function unknownPool(path: Path, name: string, { known, isTrusted, poolNames }: PoolNames): Diagnostic[] {
  if (known.has(name) || !isTrusted(["pools", name])) return [];
  const meant = nearest(name, poolNames);
  const text = `got ${JSON.stringify(name)}, want the name of a pool${
    meant === undefined ? "" : `, did you mean ${JSON.stringify(meant)}?`
  }`;
  return [{ path, text }];
}

/** The pool that `auth` asks. */
function unknownAskedPool(path: Path, { auth }: Pick<RouteEntry, "auth">, names: PoolNames): Diagnostic[] {
  const pool = askedPool(auth);
  return pool === undefined ? [] : unknownPool([...path, "auth", "forward", "pool"], pool, names);
}

/** The name of the pool that `auth` asks; `undefined`: it asks none. */
export function askedPool(auth: RouteEntry["auth"]): string | undefined {
  return auth?.kind === "forward" && typeof auth.forward !== "string" ? auth.forward.pool : undefined;
}

function foreignPrefix(path: Path, prefix: string, key: RouteKey): Diagnostic[] {
  const plain = plainForm(prefix);
  if (`${key.path}/`.startsWith(`${plain}/`)) return [];
  const wanted = key.path === "" || key.path === "/"
    ? "none, because the route's key has no path to cut"
    : `the beginning of the key's path ${JSON.stringify(key.path)}, cut at a segment`;
  return [{ path, text: `got ${JSON.stringify(prefix)}, want ${wanted}` }];
}

function unreadableFile(path: Path, file: string, { unreadable }: EntryContext): Diagnostic[] {
  const reason = unreadable(file);
  return reason === undefined ? [] : [{ path, text: `got ${JSON.stringify(file)}, want a file to read: ${reason}` }];
}

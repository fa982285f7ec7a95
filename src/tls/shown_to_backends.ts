/** The certificates that backends are shown (`tls.cert`): when they end. */

import { DEFAULT_POOL_NAME, type PoolSettings } from "../config/pool_settings.ts";
import { formatPath } from "../config/setting_path.ts";
import { type Leaf, leafOf } from "./leaf.ts";
import { readFile } from "./pem.ts";

/** The backends that are in use, with what the configuration or an operator says of them. */
export type BackendsInUse = () => Iterable<{ readonly tls: { readonly cert: string | null } }>;

/** What each file held when it was read first. Files are read again after a reload, as the engines do. */
export class ShownToBackends {
  readonly #backends: BackendsInUse;
  readonly #leaves = new Map<string, Leaf | undefined>();

  constructor(backends: BackendsInUse) {
    this.#backends = backends;
  }

  /** The certificates in use. A file that can't be read any more is left out: checks of its backends say so. */
  leaves(): Leaf[] {
    const inUse = new Set<string>();
    for (const { tls: { cert } } of this.#backends()) if (cert !== null) inUse.add(cert);
    for (const path of this.#leaves.keys()) if (!inUse.has(path)) this.#leaves.delete(path);
    for (const path of inUse) if (!this.#leaves.has(path)) this.#leaves.set(path, readLeaf(path));
    return Array.from(this.#leaves.values()).filter((leaf) => leaf !== undefined);
  }

  /** Files may hold other certificates now. */
  reread(): void {
    this.#leaves.clear();
  }
}

/** The certificates that a configuration names, each with the first setting that does. */
export function namedForBackends(
  pools: ReadonlyMap<string, Pick<PoolSettings, "backends">>,
): { readonly setting: string; readonly file: string; readonly leaf: Leaf }[] {
  const settings = new Map<string, string>();
  for (const [pool, { backends }] of pools) {
    const list = pool === DEFAULT_POOL_NAME ? ["backends"] : ["pools", pool, "backends"];
    for (const [index, { tls: { cert } }] of backends.entries()) {
      if (cert !== null && !settings.has(cert)) settings.set(cert, formatPath([...list, index, "tls", "cert"]));
    }
  }
  return Array.from(settings, ([file, setting]) => {
    const leaf = readLeaf(file);
    return leaf === undefined ? [] : [{ setting, file, leaf }];
  }).flat();
}

function readLeaf(path: string): Leaf | undefined {
  try {
    return leafOf(readFile(path));
  } catch {
    return undefined;
  }
}

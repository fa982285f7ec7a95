/** The certificate authorities that backends are verified with (`tls.ca`), and clients. */

import { DEFAULT_POOL_NAME, type PoolSettings } from "../config/pool_settings.ts";
import type { BackendSpec } from "../config/schema.ts";
import { formatPath } from "../config/setting_path.ts";
import { ConfigError } from "../errors.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";

/** The text of the files, by path. */
export type Authorities = ReadonlyMap<string, string>;

/**
 * Reads the `tls.ca` files of all backends of all pools.
 *
 * @throws {ConfigError} with a line for each backend whose file can't be read or holds no certificate
 */
export function readAuthorities(pools: ReadonlyMap<string, Pick<PoolSettings, "backends">>): Authorities {
  const authorities = new Map<string, string>();
  const lines: string[] = [];
  for (const [pool, { backends }] of pools) {
    for (const [index, { tls: { ca } }] of backends.entries()) {
      if (ca === null || authorities.has(ca)) continue;
      try {
        authorities.set(ca, readAuthority(ca));
      } catch (error) {
        if (!(error instanceof PemError)) throw error;
        const place = pool === DEFAULT_POOL_NAME ? [] : ["pools", pool];
        lines.push(`${formatPath([...place, "backends", index, "tls", "ca"])}: ${error.message}`);
      }
    }
  }
  if (lines.length > 0) throw new ConfigError(lines);
  return authorities;
}

/** The files whose text has changed. */
export function changedAuthorities(before: Authorities, after: Authorities): ReadonlySet<string> {
  return new Set(
    [...after].filter(([path, text]) => before.has(path) && before.get(path) !== text).map(([path]) => path),
  );
}

/** The options of an HTTP client that say whom it trusts. The runtime adds these authorities to its own. */
export function trustFor({ ca }: BackendSpec["tls"]): { readonly caCerts?: string[] } {
  if (ca === null) return {};
  try {
    return { caCerts: [readAuthority(ca)] };
  } catch {
    // It was readable before the backend was made. Without it, connections fail and checks say why.
    return {};
  }
}

/**
 * Reads a file of authorities.
 *
 * @throws {PemError} when it can't be read, or holds no certificate
 */
export function readAuthority(path: string): string {
  const text = readFile(path);
  certificatesIn(text, path); // refuses a file without certificates, with which every connection would fail
  return text;
}

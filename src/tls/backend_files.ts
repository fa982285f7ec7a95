/** The files that backends' `tls` names: authorities that verify them, and the certificates that they are shown. */

import { DEFAULT_POOL_NAME, type PoolSettings } from "../config/pool_settings.ts";
import type { BackendSpec } from "../config/schema.ts";
import { formatPath, type Path } from "../config/setting_path.ts";
import { ConfigError } from "../errors.ts";
import { mustMatch, readChain, readKey } from "./key_pair.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";

/** The text of the files, by path. */
export type BackendFiles = ReadonlyMap<string, string>;

/**
 * Reads and checks the files of all backends of all pools.
 *
 * @throws {ConfigError} with a line for each setting whose file can't be used. Files are named once
 */
export function readBackendFiles(
  pools: ReadonlyMap<string, Pick<PoolSettings, "backends">>,
  now = new Date(),
): BackendFiles {
  const reading = new Reading(now);
  for (const [pool, { backends }] of pools) {
    const list = pool === DEFAULT_POOL_NAME ? ["backends"] : ["pools", pool, "backends"];
    for (const [index, { tls }] of backends.entries()) {
      if (tls.ca !== null || tls.cert !== null) reading.read(tls, [...list, index, "tls"]);
    }
  }
  if (reading.lines.length > 0) throw new ConfigError(reading.lines);
  return reading.files;
}

class Reading {
  readonly files = new Map<string, string>();
  readonly lines: string[] = [];
  /** Pairs that were read, by their paths. */
  readonly #pairs = new Set<string>();
  readonly #now: Date;

  constructor(now: Date) {
    this.#now = now;
  }

  read({ ca, cert, key }: BackendSpec["tls"], place: Path): void {
    if (ca !== null && !this.files.has(ca)) {
      this.#attempt([...place, "ca"], () => this.files.set(ca, readAuthority(ca)));
    }
    if (cert === null || key === null || this.#pairs.has(`${cert}\0${key}`)) return;
    this.#pairs.add(`${cert}\0${key}`);
    const chain = this.#attempt([...place, "cert"], () => readChain(cert, this.#now));
    const own = this.#attempt([...place, "key"], () => readKey(key));
    if (chain === undefined || own === undefined) return;
    this.#attempt([...place, "key"], () => mustMatch(chain, own, key, cert));
    this.files.set(cert, chain.text).set(key, own.text);
  }

  #attempt<Result>(place: Path, read: () => Result): Result | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof PemError)) throw error;
      this.lines.push(`${formatPath(place)}: ${error.message}`);
      return undefined;
    }
  }
}

/** The files whose text has changed. */
export function changedFiles(before: BackendFiles, after: BackendFiles): ReadonlySet<string> {
  return new Set(
    [...after].filter(([path, text]) => before.has(path) && before.get(path) !== text).map(([path]) => path),
  );
}

/** What a client needs of the files: authorities beside its own, and a certificate with its key. */
export interface ClientTls {
  readonly caCerts?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Reads the files for a client, whose options these are. They were fine before the backend was made. Without them,
 * connections fail and checks say why.
 */
export function clientTls({ ca, cert, key }: BackendSpec["tls"]): ClientTls {
  return { ...trusting(ca), ...showing(cert, key) };
}

function trusting(ca: string | null): Pick<ClientTls, "caCerts"> {
  try {
    return ca === null ? {} : { caCerts: [readAuthority(ca)] };
  } catch {
    return {};
  }
}

function showing(cert: string | null, key: string | null): Pick<ClientTls, "cert" | "key"> {
  try {
    return cert === null || key === null ? {} : { cert: readFile(cert), key: readFile(key) };
  } catch {
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

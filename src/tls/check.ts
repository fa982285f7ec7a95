/** Checks all the files of certificates that a configuration names. */

import { poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import { readAcmeAuthority } from "./acme_authority_file.ts";
import { readBackendFiles } from "./backend_files.ts";
import { readClientAuthorities } from "./client_authorities.ts";
import { type GoodPairs, readCertificates, timeWarnings } from "./certificate_files.ts";
import type { Leaf } from "./leaf.ts";
import { namedForBackends } from "./shown_to_backends.ts";

/** How many names of a certificate are listed. */
const MOST_NAMES = 5;

/** What there is to say of files that can be used. */
export interface CheckedFiles {
  /** A line for each certificate that clients or backends are shown: its setting, its names and its end. */
  readonly certificates: readonly string[];
  /** A line for each certificate that will expire soon or is not valid yet, and for each name that two have. */
  readonly warnings: readonly string[];
}

/**
 * Reads every file.
 *
 * @param good those of the proxy's certificates that were good the last time
 * @throws {ConfigError} with a line for each file that can't be used
 */
export function checkCertificateFiles(config: Config, now: Date, good?: GoodPairs): CheckedFiles {
  const lines: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      lines.push(...error.lines);
      return undefined;
    }
  };
  const { tls } = config.proxy;
  const front = attempt(() => readCertificates(tls?.files ?? [], now, good));
  attempt(() => readAcmeAuthority(tls?.acme?.ca ?? null));
  attempt(() => tls === null ? undefined : readClientAuthorities(tls));
  attempt(() => readBackendFiles(poolsOf(config)));
  if (lines.length > 0) throw new ConfigError(lines);
  const behind = namedForBackends(poolsOf(config));
  return {
    certificates: [
      ...(front?.leaves ?? []).map((leaf) => lineOf(leaf.setting, leaf)),
      ...behind.map(({ setting, leaf }) => lineOf(setting, leaf)),
    ],
    warnings: [
      ...front?.warnings ?? [],
      ...behind.flatMap(({ setting, file, leaf }) => timeWarnings(leaf, setting, file, now)),
    ],
  };
}

function lineOf(setting: string, { names, expires }: Leaf): string {
  return `${setting}: ${namesText(names)}, until ${expires.toISOString()}`;
}

function namesText(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).join(", ");
  return names.length <= MOST_NAMES ? shown : `${shown} and ${names.length - MOST_NAMES} more`;
}

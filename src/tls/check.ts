/** Checks all the files of certificates that a configuration names. */

import { poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import { readAuthorities } from "./authorities.ts";
import { readCertificates } from "./certificate_files.ts";

/**
 * Reads every file. Returns a warning for each certificate that will expire soon or is not valid yet.
 *
 * @throws {ConfigError} with a line for each file that can't be used
 */
export function checkCertificateFiles(config: Config, now: Date): string[] {
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
  const front = attempt(() => readCertificates(tls?.files ?? [], now));
  attempt(() => readAuthorities(poolsOf(config)));
  if (lines.length > 0) throw new ConfigError(lines);
  return [...front?.warnings ?? []];
}

/** Whether the files of certificates that a configuration names are of use, all of them at once. */

import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import { readAuthorities } from "./authorities.ts";
import { readCertificate } from "./certificates.ts";

/**
 * Reads every file. Returns what is doubtful, a line each: a certificate that serves, but not for long or not yet.
 *
 * @throws {ConfigError} with a line for each file that is of no use
 */
export function checkCertificateFiles({ proxy, backends }: Config, now: Date): string[] {
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
  const { tls } = proxy;
  const front = tls?.kind === "files" ? attempt(() => readCertificate(tls, now)) : undefined;
  attempt(() => readAuthorities(backends));
  if (lines.length > 0) throw new ConfigError(lines);
  return front?.warning === undefined ? [] : [front.warning];
}

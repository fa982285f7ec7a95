/** The file `proxy.tls.acme.ca`. */

import { ConfigError } from "../errors.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";

/**
 * Returns the text of the file, if there is one.
 *
 * @throws {ConfigError} when it can't be read, or holds no certificate
 */
export function readAcmeAuthority(path: string | null): string | undefined {
  if (path === null) return undefined;
  try {
    const text = readFile(path);
    certificatesIn(text, path);
    return text;
  } catch (error) {
    if (!(error instanceof PemError)) throw error;
    throw new ConfigError([`proxy.tls.acme.ca: ${error.message}`], { cause: error });
  }
}

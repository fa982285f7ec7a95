/** Whose certificates clients may show (`proxy.tls.clientCertificates`). */

import { ConfigError } from "../errors.ts";
import { readAuthority } from "./backend_files.ts";
import { PemError } from "./pem.ts";
import type { ClientAuthorities } from "./server_certificate.ts";
import type { TlsConfig } from "./sources.ts";

/**
 * Reads the file of the authorities. `undefined`: clients are not asked for certificates.
 *
 * @throws {ConfigError} when it can't be used
 */
export function readClientAuthorities(
  { clientCertificates }: Pick<TlsConfig, "clientCertificates">,
): ClientAuthorities | undefined {
  if (clientCertificates === null) return undefined;
  const { ca, require } = clientCertificates;
  try {
    return { ca: readAuthority(ca), require };
  } catch (error) {
    if (!(error instanceof PemError)) throw error;
    throw new ConfigError([`proxy.tls.clientCertificates.ca: ${error.message}`]);
  }
}

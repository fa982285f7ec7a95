/** What certificates come from, for a configuration. */

import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import type { AcmeContext } from "./acme/context.ts";
import { readAcmeAuthority } from "./acme_authority_file.ts";
import { FilesSource, type GoodPairs, readCertificates } from "./certificate_files.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { SelfSignedSource } from "./self_signed_source.ts";

/** The configuration of HTTPS for clients. */
export type TlsConfig = NonNullable<Config["proxy"]["tls"]>;

export interface SourceContext {
  readonly log: Log;
  readonly clock: Clock;
  readonly acme: AcmeContext;
  /** The files that were good the last time. */
  readonly good?: GoodPairs;
}

/**
 * Makes the sources of a configuration, in the order of their certificates. Reads and checks the files.
 *
 * @throws {ConfigError} when files can't be used
 */
export async function certificateSources(
  { files, acme, selfSigned }: TlsConfig,
  context: SourceContext,
): Promise<CertificateSource[]> {
  const sources: CertificateSource[] = [];
  const read = readCertificates(files, new Date(context.clock.now()), context.good);
  if (read !== undefined) sources.push(new FilesSource(read, context.log));
  if (acme !== null) {
    const { AcmeSource } = await import("./acme_source.ts"); // not at every start
    sources.push(new AcmeSource({ ...acme, ca: readAcmeAuthority(acme.ca) }, context));
  }
  if (selfSigned !== null) sources.push(new SelfSignedSource(selfSigned, context));
  return sources;
}

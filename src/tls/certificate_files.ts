/** Certificates from files. They are checked before anything listens. */

import type { Config } from "../config/schema.ts";
import { formatPath } from "../config/setting_path.ts";
import { ConfigError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { mustMatch, readChain, readKey } from "./key_pair.ts";
import { endsSoon, type Leaf, leafOf } from "./leaf.ts";
import { PemError } from "./pem.ts";
import type { ServerCertificate, ServerCertificates } from "./server_certificate.ts";

const PLACE = ["proxy", "tls"];

/** The files of one certificate, and where the configuration names them. */
export type CertificateFiles = NonNullable<Config["proxy"]["tls"]>["files"][number];

/** Certificates in files. They have been read and checked. */
export class FilesSource implements CertificateSource {
  readonly kind = "files";
  readonly #read: ReadCertificates;
  readonly #log: Log;

  constructor(read: ReadCertificates, log: Log) {
    this.#read = read;
    this.#log = log;
  }

  remedy(changeable: boolean): string {
    return `${changeable ? "a reload" : "a restart"} reads the files again`;
  }

  sameAs(inUse: CertificateSource): boolean {
    if (!(inUse instanceof FilesSource)) return false;
    const [these, those] = [this.#read.certificates, inUse.#read.certificates];
    return these.length === those.length &&
      these.every(({ cert, key }, index) => cert === those[index]?.cert && key === those[index]?.key);
  }

  obtain(): Promise<ServerCertificates> {
    for (const warning of this.#read.warnings) this.#log.warn("configuration", { warning });
    return Promise.resolve(this.#read.certificates);
  }
}

/** A certificate, and the setting that names its file. */
interface ReadLeaf extends Leaf {
  readonly setting: string;
}

/** What the files contain. */
export interface ReadCertificates {
  readonly certificates: ServerCertificates;
  /** In the same order. */
  readonly leaves: readonly ReadLeaf[];
  /** A line for each certificate that will expire soon or is not valid yet. */
  readonly warnings: readonly string[];
}

/**
 * Reads and checks the files of all certificates. `undefined`: there are none.
 *
 * @throws {ConfigError} with a line for each file that can't be used
 */
export function readCertificates(files: readonly CertificateFiles[], now: Date): ReadCertificates | undefined {
  const certificates: ServerCertificate[] = [];
  const warnings: string[] = [];
  const lines: string[] = [];
  const leaves: ReadLeaf[] = [];
  const holders = new Map<string, CertificateFiles>();
  for (const pair of files) {
    try {
      const { certificate, leaf, warning } = readCertificate(pair, now);
      certificates.push(certificate);
      leaves.push({ setting: settingOf(pair, "cert"), ...leaf });
      warnings.push(...namedTwice(holders, leaf.names, pair));
      if (warning !== undefined) warnings.push(warning);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      lines.push(...error.lines);
    }
  }
  if (lines.length > 0) throw new ConfigError(lines);
  const [first, ...others] = certificates;
  return first && { certificates: [first, ...others], leaves, warnings };
}

/**
 * Reads and checks the files. `warning` is about a certificate that will expire soon or is not valid yet.
 *
 * @throws {ConfigError} with a line for each file that can't be used
 */
function readCertificate(
  files: CertificateFiles,
  now: Date,
): { readonly certificate: ServerCertificate; readonly leaf: Leaf; readonly warning: string | undefined } {
  const lines: string[] = [];
  const attempt = <T>(setting: "cert" | "key", read: (path: string) => T): T | undefined => {
    try {
      return read(files[setting]);
    } catch (error) {
      if (!(error instanceof PemError)) throw error;
      lines.push(`${settingOf(files, setting)}: ${error.message}`);
      return undefined;
    }
  };
  const chain = attempt("cert", (path) => readChain(path, now));
  const key = attempt("key", readKey);
  if (chain !== undefined && key !== undefined) attempt("key", (path) => mustMatch(chain, key, path, files.cert));
  if (chain === undefined || key === undefined || lines.length > 0) throw new ConfigError(lines);
  const leaf = leafOf(chain.text);
  return {
    certificate: { cert: chain.text, key: key.text },
    leaf,
    warning: timeWarning(leaf, files, now),
  };
}

/** Names that an earlier certificate has. Clients never get this one for them. */
function namedTwice(
  holders: Map<string, CertificateFiles>,
  names: readonly string[],
  files: CertificateFiles,
): string[] {
  return names.flatMap((name) => {
    const holder = holders.get(name);
    if (holder === undefined) holders.set(name, files);
    if (holder === undefined || holder === files) return [];
    return [`${settingOf(files, "cert")}: ${name} is also in ${settingOf(holder, "cert")}, which is used for it`];
  });
}

/** As error lines name it. */
function settingOf({ place }: CertificateFiles, setting: "cert" | "key"): string {
  return formatPath([...PLACE, ...place, setting]);
}

function timeWarning(leaf: Leaf, files: CertificateFiles, now: Date): string | undefined {
  const what = `${settingOf(files, "cert")}: the certificate in ${files.cert}`;
  if (leaf.begins > now) return `${what} is not valid before ${leaf.begins.toISOString()}`;
  return endsSoon(leaf, now) ? `${what} expires at ${leaf.expires.toISOString()}` : undefined;
}

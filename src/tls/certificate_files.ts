/** Certificates from files. They are checked before anything listens. */

import type { Config } from "../config/schema.ts";
import { formatPath } from "../config/setting_path.ts";
import { ConfigError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { mustMatch, readChain, readKey } from "./key_pair.ts";
import { endsSoon, type Leaf, leafOf } from "./leaf.ts";
import { PemError, readFile } from "./pem.ts";
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

/** A certificate whose files were found to be good. */
interface ReadPair {
  readonly certificate: ServerCertificate;
  readonly leaf: Leaf;
}

/**
 * Remembers which files were good, and what was in them. If it still is, they are not checked again: that would take
 * seconds for thousands of certificates, at each reload.
 */
export class GoodPairs {
  #pairs = new Map<string, ReadPair>();

  /** The certificate, if both files hold what they did, and it has not ended. */
  find({ cert, key }: CertificateFiles, now: Date): ReadPair | undefined {
    const known = this.#pairs.get(nameOf({ cert, key }));
    if (known === undefined || known.leaf.expires <= now) return undefined;
    try {
      return readFile(cert) === known.certificate.cert && readFile(key) === known.certificate.key ? known : undefined;
    } catch {
      return undefined; // the check says what is wrong with it
    }
  }

  /** Remembers these, and forgets all others. */
  keep(files: readonly CertificateFiles[], pairs: readonly ReadPair[]): void {
    this.#pairs = new Map(pairs.map((pair, index) => [files[index] === undefined ? "" : nameOf(files[index]), pair]));
  }
}

function nameOf({ cert, key }: Pick<CertificateFiles, "cert" | "key">): string {
  return `${cert}\0${key}`;
}

/**
 * Reads and checks the files of all certificates. `undefined`: there are none.
 *
 * @throws {ConfigError} with a line for each file that can't be used
 */
export function readCertificates(
  files: readonly CertificateFiles[],
  now: Date,
  good = new GoodPairs(),
): ReadCertificates | undefined {
  const pairs: ReadPair[] = [];
  const warnings: string[] = [];
  const lines: string[] = [];
  const holders = new Map<string, CertificateFiles>();
  for (const pair of files) {
    try {
      const read = good.find(pair, now) ?? readCertificate(pair, now);
      pairs.push(read);
      warnings.push(
        ...namedTwice(holders, read.leaf.names, pair),
        ...timeWarnings(read.leaf, settingOf(pair, "cert"), pair.cert, now),
      );
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      lines.push(...error.lines);
    }
  }
  if (lines.length > 0) throw new ConfigError(lines);
  good.keep(files, pairs);
  const leaves = pairs.map(({ leaf }, index) => ({ setting: settingOf(files[index], "cert"), ...leaf }));
  const [first, ...others] = pairs.map(({ certificate }) => certificate);
  return first && { certificates: [first, ...others], leaves, warnings };
}

/** @throws {ConfigError} with a line for each file that can't be used */
function readCertificate(files: CertificateFiles, now: Date): ReadPair {
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
  return { certificate: { cert: chain.text, key: key.text }, leaf: leafOf(chain.text) };
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
function settingOf(files: CertificateFiles | undefined, setting: "cert" | "key"): string {
  return formatPath([...PLACE, ...files?.place ?? [], setting]);
}

/** A line about a certificate that will expire soon or is not valid yet. */
export function timeWarnings(leaf: Leaf, setting: string, file: string, now: Date): string[] {
  const what = `${setting}: the certificate in ${file}`;
  if (leaf.begins > now) return [`${what} is not valid before ${leaf.begins.toISOString()}`];
  return endsSoon(leaf, now) ? [`${what} expires at ${leaf.expires.toISOString()}`] : [];
}

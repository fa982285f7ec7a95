/**
 * Gets the certificate that clients are shown: reads it from files or makes it, and checks it before anything listens.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Config } from "../config/schema.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { stateDirectory } from "../state_directory.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";
import { selfSignedCertificate, serves } from "./self_signed.ts";
import type { ServerCertificate } from "./server_certificate.ts";

/** The configuration of HTTPS for clients. */
export type TlsConfig = NonNullable<Config["proxy"]["tls"]>;

type FilesConfig = Extract<TlsConfig, { kind: "files" }>;

/** With less than this left, there is a warning at each start, at each reload and once a day. */
const WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

/**
 * Returns the configured certificate: from its files, or a self-signed one, which was kept or is made now.
 *
 * @throws {ConfigError} when the files can't be used
 */
export async function serverCertificate(
  tls: TlsConfig,
  { log, now }: { readonly log: Log; readonly now: Date },
): Promise<ServerCertificate> {
  return await certificateSource(tls, now).obtain(log);
}

/** Where the configured certificate comes from: files that have been read, or roundhouse itself. */
export interface CertificateSource {
  /** Whether it differs from `current`. */
  differsFrom(current: ServerCertificate | undefined): boolean;
  /** Returns the certificate. Rejects only if a self-signed one can't be made. */
  obtain(log: Log): Promise<ServerCertificate>;
}

/**
 * Finds the configured certificate. Reads and checks its files once, here. A self-signed one is made later.
 *
 * @throws {ConfigError} when the files can't be used
 */
export function certificateSource(tls: TlsConfig, now: Date): CertificateSource {
  switch (tls.kind) {
    case "files": {
      const { certificate, warning } = readCertificate(tls, now);
      return {
        differsFrom: (current) => certificate.cert !== current?.cert || certificate.key !== current.key,
        obtain(log) {
          if (warning !== undefined) log.warn("configuration", { warning });
          return Promise.resolve(certificate);
        },
      };
    }
    case "self-signed":
      return {
        differsFrom: (current) => current === undefined || !serves(current, tls.names, now),
        obtain(log) {
          const directory = stateDirectory((name) => Deno.env.get(name));
          return selfSignedCertificate({ names: tls.names, directory, now, log });
        },
      };
  }
}

/** Whether it is time for another certificate. A self-signed one can be made; for files, somebody has to bring it. */
export function endsSoon(tls: TlsConfig, current: ServerCertificate, now: Date): boolean {
  if (tls.kind === "self-signed") return !serves(current, tls.names, now);
  return new Date(new X509Certificate(current.cert).validTo).getTime() - now.getTime() < WARNING_DAYS * DAY_MS;
}

/**
 * Reads and checks the files. `warning` is about a certificate that will expire soon or is not valid yet.
 *
 * @throws {ConfigError} with a line for each file that can't be used
 */
export function readCertificate(
  files: Pick<FilesConfig, "cert" | "key">,
  now: Date,
): { readonly certificate: ServerCertificate; readonly warning: string | undefined } {
  const lines: string[] = [];
  const attempt = <T>(setting: "cert" | "key", read: (path: string) => T): T | undefined => {
    try {
      return read(files[setting]);
    } catch (error) {
      if (!(error instanceof PemError)) throw error;
      lines.push(`proxy.tls.${setting}: ${error.message}`);
      return undefined;
    }
  };
  const chain = attempt("cert", (path) => readChain(path, now));
  const key = attempt("key", readKey);
  if (chain !== undefined && key !== undefined) attempt("key", (path) => mustMatch(chain, key, path, files.cert));
  if (chain === undefined || key === undefined || lines.length > 0) throw new ConfigError(lines);
  return {
    certificate: { cert: chain.text, key: key.text },
    warning: timeWarning(chain.leaf, files.cert, now),
  };
}

interface Chain {
  readonly text: string;
  readonly leaf: X509Certificate;
}

interface Key {
  readonly text: string;
  readonly key: KeyObject;
}

function readChain(path: string, now: Date): Chain {
  const text = readFile(path);
  const [leaf] = certificatesIn(text, path);
  if (leaf === undefined) throw new PemError(`${path} has no certificate in PEM`);
  const end = new Date(leaf.validTo);
  if (end <= now) throw new PemError(`the certificate in ${path} expired at ${end.toISOString()}`);
  return { text, leaf };
}

function readKey(path: string): Key {
  const text = readFile(path);
  // Checked first, because the library would ask for the passphrase on the terminal.
  if (/ENCRYPTED/.test(text)) throw new PemError(`the key in ${path} is encrypted, want one without a passphrase`);
  if (!/-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/.test(text)) throw new PemError(`${path} has no private key in PEM`);
  try {
    return { text, key: createPrivateKey(text) };
  } catch (error) {
    throw new PemError(`the key in ${path} is damaged: ${messageOf(error)}`, { cause: error });
  }
}

function mustMatch({ text, leaf }: Chain, key: Key, keyPath: string, certPath: string): void {
  if (!leaf.checkPrivateKey(key.key)) {
    throw new PemError(`the key in ${keyPath} does not belong to the certificate in ${certPath}`);
  }
  try {
    // Makes the same checks as a listener, such as whether this kind of key is supported, but opens no port.
    Deno.createHttpClient({ cert: text, key: key.text }).close();
  } catch (error) {
    throw new PemError(`the pair of ${certPath} and ${keyPath} can't be used: ${messageOf(error)}`, { cause: error });
  }
}

function timeWarning(leaf: X509Certificate, path: string, now: Date): string | undefined {
  const start = new Date(leaf.validFrom);
  const end = new Date(leaf.validTo);
  if (start > now) return `proxy.tls.cert: the certificate in ${path} is not valid before ${start.toISOString()}`;
  if (end.getTime() - now.getTime() >= WARNING_DAYS * DAY_MS) return undefined;
  return `proxy.tls.cert: the certificate in ${path} expires at ${end.toISOString()}`;
}

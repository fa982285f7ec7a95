/** The certificate that the proxy shows its clients: read from files, or made, and checked before anything listens. */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Config } from "../config/schema.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";
import { selfSignedCertificate, serves, stateDirectory } from "./self_signed.ts";

/** A certificate, or a chain that begins with it, and its private key; both in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What an engine needs beside everything else when clients reach it over HTTPS. */
export interface Securing {
  /** `undefined`: plain HTTP. */
  readonly certificate?: ServerCertificate | undefined;
}

/** How clients reach the proxy over HTTPS. */
export type TlsConfig = NonNullable<Config["proxy"]["tls"]>;

type FilesConfig = Extract<TlsConfig, { kind: "files" }>;

/** With less than this left, each start, each reload and each day says so. */
const WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

/**
 * Returns the configured certificate: from its files, or self-signed, kept from before or made.
 *
 * @throws {ConfigError} when the files are of no use
 */
export async function serverCertificate(
  tls: TlsConfig,
  { log, now }: { readonly log: Log; readonly now: Date },
): Promise<ServerCertificate> {
  switch (tls.kind) {
    case "files": {
      const { certificate, warning } = readCertificate(tls, now);
      if (warning !== undefined) log.warn("configuration", { warning });
      return certificate;
    }
    case "self-signed": {
      const directory = stateDirectory((name) => Deno.env.get(name));
      return await selfSignedCertificate({ names: tls.names, directory, now, log });
    }
  }
}

/**
 * Returns whether a start now would show another certificate than `current`.
 *
 * @throws {ConfigError} when the files are of no use
 */
export function certificateDiffers(tls: TlsConfig | null, current: ServerCertificate | undefined, now: Date): boolean {
  switch (tls?.kind) {
    case undefined:
      return current !== undefined;
    case "files": {
      const { cert, key } = readCertificate(tls, now).certificate;
      return cert !== current?.cert || key !== current.key;
    }
    case "self-signed":
      return current === undefined || !serves(current, tls.names, now);
  }
}

/** Whether it is time for another certificate: to be made, if it is self-signed, else for somebody to put it there. */
export function endsSoon(tls: TlsConfig, current: ServerCertificate, now: Date): boolean {
  if (tls.kind === "self-signed") return !serves(current, tls.names, now);
  return new Date(new X509Certificate(current.cert).validTo).getTime() - now.getTime() < WARNING_DAYS * DAY_MS;
}

/**
 * Reads and checks the files. `warning` is about a certificate that serves, but not for long or not yet.
 *
 * @throws {ConfigError} with a line for each file that is of no use
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
  // Asked before: the library would ask for the passphrase on the terminal.
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
    // Goes through the same checks as a listener, such as whether this kind of key is known, but opens no port.
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

/** Makes a self-signed certificate, and keeps it from one start to the next, so that clients see the same one. */

import ipaddr from "ipaddr.js";
import { hexDigestOf } from "../digest.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { readRegularFile } from "../regular_file.ts";
import { whyNotKept } from "../state_directory.ts";
import type { ServerCertificate } from "./server_certificate.ts";
import { privateKey, x509 } from "./x509.ts";

/** What a certificate is made from, and where it is kept. */
export interface SelfSignedOptions {
  /** Host names and IP addresses. */
  readonly names: readonly string[];
  /** Where state is kept between starts. `undefined`: nowhere. */
  readonly directory: string | undefined;
  readonly now: Date;
  readonly log: Log;
}

const DAY_MS = 86_400_000;

/** Browsers reject a certificate that is valid for more than 397 days. */
const VALID_DAYS = 396;

/** The certificate is valid from this much earlier, because clocks of clients may be behind. */
const BACKDATED_MS = 3_600_000;

/** With less than this left, another certificate is made. */
export const RENEWAL_MS = 30 * DAY_MS;

/**
 * Returns the certificate kept in the directory, if it has the same names and lasts. Otherwise makes one and keeps it.
 */
export async function selfSignedCertificate(options: SelfSignedOptions): Promise<ServerCertificate> {
  const { names, now, log } = options;
  const directory = keepingPlace(options);
  const files = directory === undefined ? undefined : filesFor(directory, names);
  const kept = files === undefined ? undefined : read(files);
  if (kept !== undefined && serves(kept, names, now)) return kept;
  const made = await make(names, now);
  const expires = new Date(x509(made.cert).validTo).toISOString();
  log.info("certificate made", { names: names.join(","), expires });
  if (directory !== undefined && files !== undefined) {
    try {
      keep(made, directory, files);
    } catch (error) {
      notKept(log, directory, messageOf(error));
    }
  }
  return made;
}

/**
 * The directory for the certificate, if it may be written to. Unlike the state directory, only its owner can open it.
 */
function keepingPlace({ directory, log }: SelfSignedOptions): string | undefined {
  const place = directory && `${directory}/tls`;
  const reason = whyNotKept(place);
  if (reason === undefined) return place;
  notKept(log, place, reason);
  return undefined;
}

function notKept(log: Log, directory: string | undefined, reason: string): void {
  log.warn("certificate not kept", { directory, reason, consequence: "the next start makes another one" });
}

interface Files {
  readonly cert: string;
  readonly key: string;
}

/** Each set of names has its own files, so that several proxies of one user do not replace each other's. */
function filesFor(directory: string, names: readonly string[]): Files {
  const set = [...new Set(names.map(oneSpelling))].sort().join();
  const digest = hexDigestOf(set, 12);
  return { cert: `${directory}/self-signed-${digest}.crt`, key: `${directory}/self-signed-${digest}.key` };
}

function read({ cert, key }: Files): ServerCertificate | undefined {
  try {
    return { cert: readRegularFile(cert), key: readRegularFile(key) };
  } catch {
    return undefined; // there is none yet, or it is damaged: a new one is made
  }
}

/** Whether a certificate has exactly these names, belongs to its key and lasts a while. */
export function serves({ cert, key }: ServerCertificate, names: readonly string[], now: Date): boolean {
  try {
    const certificate = x509(cert);
    const leftMs = new Date(certificate.validTo).getTime() - now.getTime();
    if (leftMs <= RENEWAL_MS || new Date(certificate.validFrom) > now) return false;
    const held = (certificate.subjectAltName ?? "").split(", ").map((name) => name.replace(/^(DNS|IP Address):/, ""));
    return sameNames(held, names) && certificate.checkPrivateKey(privateKey(key));
  } catch {
    return false; // damaged
  }
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  const [ones, others] = [new Set(one.map(oneSpelling)), new Set(other.map(oneSpelling))];
  return ones.size === others.size && [...ones].every((name) => others.has(name));
}

function oneSpelling(name: string): string {
  return addressIn(name) ?? name.toLowerCase();
}

/** An IP address in its usual spelling, without a zone. `undefined` for a host name. */
function addressIn(name: string): string | undefined {
  const [address = ""] = name.split("%");
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return undefined;
  return ipaddr.parse(address).toNormalizedString();
}

async function make(names: readonly string[], now: Date): Promise<ServerCertificate> {
  const { generate } = await import("selfsigned"); // takes 80 ms, so it is imported only here
  const made = await generate([{ name: "commonName", value: "roundhouse" }], {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notBeforeDate: new Date(now.getTime() - BACKDATED_MS),
    notAfterDate: new Date(now.getTime() + VALID_DAYS * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: names.map((name) => {
          const address = addressIn(name);
          return address === undefined ? { type: 2, value: name } : { type: 7, ip: address };
        }),
      },
    ],
  });
  return { cert: `${made.cert.trimEnd()}\n`, key: made.private };
}

/** Each file is replaced whole or not at all. If the two do not belong together, the next start makes new ones. */
function keep({ cert, key }: ServerCertificate, directory: string, to: Files): void {
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  Deno.chmodSync(directory, 0o700); // it may exist with another mode
  replaceFile(to.key, key, 0o600);
  replaceFile(to.cert, cert, 0o644);
}

function replaceFile(path: string, text: string, mode: number): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    Deno.writeTextFileSync(temporary, text, { mode });
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // the file does not exist
    }
    throw error;
  }
}

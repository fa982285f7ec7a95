/** A certificate and its private key, each in a file. */

import type { X509Certificate } from "node:crypto";
import { messageOf } from "../errors.ts";
import { certificatesIn, PemError, readFile } from "./pem.ts";
import { privateKey } from "./x509.ts";

export interface Chain {
  readonly text: string;
  readonly leaf: X509Certificate;
}

export interface Key {
  readonly text: string;
}

/**
 * Reads a certificate and those that lead to its authority.
 *
 * @throws {PemError} when it can't be used, or has expired
 */
export function readChain(path: string, now: Date): Chain {
  const text = readFile(path);
  const [leaf] = certificatesIn(text, path);
  if (leaf === undefined) throw new PemError(`${path} has no certificate in PEM`);
  const end = new Date(leaf.validTo);
  if (end <= now) throw new PemError(`the certificate in ${path} expired at ${end.toISOString()}`);
  return { text, leaf };
}

/** @throws {PemError} when it can't be used. Whether it is damaged is for `mustMatch` to say */
export function readKey(path: string): Key {
  const text = readFile(path);
  // Checked first, because the library would ask for the passphrase on the terminal.
  if (/ENCRYPTED/.test(text)) throw new PemError(`the key in ${path} is encrypted, want one without a passphrase`);
  if (!/-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/.test(text)) throw new PemError(`${path} has no private key in PEM`);
  return { text };
}

/** @throws {PemError} when the key is damaged or that of another certificate, or the runtime can't use the two */
export function mustMatch(chain: Chain, key: Key, keyPath: string, certPath: string): void {
  try {
    // Makes the same checks as a listener, such as whether this kind of key is supported, but opens no port.
    Deno.createHttpClient({ cert: chain.text, key: key.text }).close();
  } catch (error) {
    throw new PemError(
      whyNot(chain, key, keyPath, certPath) ??
        `the pair of ${certPath} and ${keyPath} can't be used: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** In other words than the runtime's. It takes too long for thousands of good pairs. */
function whyNot({ leaf }: Chain, key: Key, keyPath: string, certPath: string): string | undefined {
  try {
    const isIts = leaf.checkPrivateKey(privateKey(key.text));
    return isIts ? undefined : `the key in ${keyPath} does not belong to the certificate in ${certPath}`;
  } catch (error) {
    return `the key in ${keyPath} is damaged: ${messageOf(error)}`;
  }
}

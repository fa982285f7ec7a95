/** A certificate for one name, with what decides when it is renewed. */

import { createHash, createPrivateKey, type X509Certificate } from "node:crypto";
import { messageOf } from "../../errors.ts";
import { certificatesIn } from "../pem.ts";
import type { ServerCertificate } from "../server_certificate.ts";
import type { Validity } from "./schedule.ts";

export interface Held {
  readonly certificate: ServerCertificate;
  readonly validity: Validity;
  /** From 0 up to 1, at random, but the same for each process that has this certificate. */
  readonly share: number;
}

/** A certificate that can't be used. Its message says why and follows "the certificate". */
export class UnusableError extends Error {
  override readonly name = "UnusableError";
}

/**
 * Reads a certificate.
 *
 * @throws {UnusableError} when it is damaged, is for another name or key, or has expired
 */
export function held(certificate: ServerCertificate, name: string, nowMs: number): Held {
  const leaf = leafOf(certificate);
  if (leaf.checkHost(name) === undefined) throw new UnusableError(`is not for ${name}`);
  const validity = { fromMs: Date.parse(leaf.validFrom), untilMs: Date.parse(leaf.validTo) };
  if (validity.untilMs <= nowMs) throw new UnusableError(`has expired at ${new Date(validity.untilMs).toISOString()}`);
  const share = createHash("sha256").update(leaf.raw).digest().readUInt32BE() / 2 ** 32;
  return { certificate, validity, share };
}

function leafOf({ cert, key }: ServerCertificate): X509Certificate {
  try {
    const [leaf] = certificatesIn(cert, "the chain");
    if (leaf?.checkPrivateKey(createPrivateKey(key)) === true) return leaf;
  } catch (error) {
    throw new UnusableError(`is damaged: ${messageOf(error)}`, { cause: error });
  }
  throw new UnusableError("is for another key");
}

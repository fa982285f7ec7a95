/** Decides whose certificate a client has shown, and writes it for the backend (`Client-Cert`, RFC 9440). */

import { Buffer } from "node:buffer";
import { createHash, X509Certificate } from "node:crypto";
import { isTrustedChain } from "./client_chain.ts";
import { certificatesIn } from "./pem.ts";
import type { ClientAuthorities } from "./server_certificate.ts";

/** What a client has shown in its handshake. */
export interface ShownCertificates {
  /** In DER, the client's own first. Empty: none. */
  readonly chain: readonly Uint8Array[];
  /** Whether the runtime has found an authority that has signed it. It looks only in a full handshake. */
  readonly verified: boolean;
  /** Whether the session is an earlier one, so that the certificates are those of that one. */
  readonly resumed: boolean;
}

/** How long a verified certificate is remembered, and how many are. */
const REMEMBERED_MS = 3_600_000;
const MOST_REMEMBERED = 10_000;

/** The certificates of clients that the same authorities have to sign. */
export class ClientIdentities {
  /** Whether clients must have a valid certificate. */
  readonly require: boolean;
  readonly #authorities: readonly string[];
  readonly #now: () => number;
  /** Certificates that were verified, and until when each counts as such; the oldest first. */
  readonly #verified = new Map<string, number>();

  constructor({ ca, require }: ClientAuthorities, now: () => number = Date.now) {
    this.require = require;
    this.#authorities = certificatesIn(ca, "").map((certificate) => certificate.toString());
    this.#now = now;
  }

  /** The value of `Client-Cert`; `null`: the client has shown no valid certificate. */
  async headerFor({ chain, verified, resumed }: ShownCertificates): Promise<string | null> {
    const [leaf] = chain;
    if (leaf === undefined) return null;
    const digest = createHash("sha256").update(leaf).digest("base64");
    const now = this.#now();
    if (resumed) {
      const until = this.#verified.get(digest) ?? 0;
      if (until <= now && !await isTrustedChain(chain, this.#authorities, new Date(now))) return null;
      if (until <= now) this.#remember(digest, leaf);
    } else {
      if (!verified) return null;
      this.#remember(digest, leaf);
    }
    return clientCertHeader(leaf);
  }

  #remember(digest: string, leaf: Uint8Array): void {
    const end = new Date(new X509Certificate(leaf).validTo).getTime();
    this.#verified.delete(digest); // it becomes the newest
    this.#verified.set(digest, Math.min(end, this.#now() + REMEMBERED_MS));
    if (this.#verified.size <= MOST_REMEMBERED) return;
    for (const oldest of this.#verified.keys()) return void this.#verified.delete(oldest);
  }
}

/** A certificate in DER as a Byte Sequence (RFC 8941 §3.3.5). */
export function clientCertHeader(der: Uint8Array): string {
  return `:${Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64")}:`;
}

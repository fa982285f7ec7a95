/** The headers about the certificate that a client has shown (RFC 9440). */

import type { HeaderPair } from "./message.ts";

/** What a proxy says of the certificate that a client has shown. */
const CERTIFICATE_HEADERS: ReadonlySet<string> = new Set(["client-cert", "client-cert-chain"]);

/**
 * Adds the certificate; `null`: the client has shown no valid one. Where we ask for certificates ourselves, nobody else
 * may speak of them, no trusted proxy either (RFC 9440 §4).
 */
export function withCertificate(headers: HeaderPair[], clientCert: string | null): HeaderPair[] {
  const kept = headers.filter(([name]) => !CERTIFICATE_HEADERS.has(name.toLowerCase()));
  if (clientCert !== null) kept.push(["client-cert", clientCert]);
  return kept;
}

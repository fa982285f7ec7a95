/** What a client has shown in its handshake, as the runtime tells. */

import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { ShownCertificates } from "../../../tls/client_identity.ts";

/** More are not looked at. */
const MOST_CERTIFICATES = 10;

/** The runtime says only there what came of the verification: `authorized` is set by servers of `node:tls` alone. */
interface Verifying {
  readonly _handle?: { verifyError?(): unknown };
}

/** The certificates of a connection whose handshake has ended. */
export function shownCertificates(socket: TLSSocket): ShownCertificates {
  const chain: Uint8Array[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && chain.length < MOST_CERTIFICATES) {
    chain.push(next.raw);
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  const { _handle: handle } = socket as TLSSocket & Verifying;
  return { chain, verified: handle?.verifyError?.() === "", resumed: socket.isSessionReused() };
}

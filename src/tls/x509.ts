/** Certificates and keys as the runtime reads them. `node:crypto` takes 10 ms of a start, and most need none of it. */

import type { KeyObject, X509Certificate } from "node:crypto";

const crypto = () => globalThis.process.getBuiltinModule("node:crypto");

/** The first certificate of a text in PEM. Throws if it is damaged. */
export function x509(pem: string): X509Certificate {
  return new (crypto().X509Certificate)(pem);
}

/** The private key in PEM. Throws if it is damaged. */
export function privateKey(pem: string): KeyObject {
  return crypto().createPrivateKey(pem);
}

/** Certificates of every kind, good and bad: what clients may show. */

import * as x509 from "@peculiar/x509";
import type { Pair } from "./certificates.ts";

const DAY_MS = 86_400_000;

/** A certificate with its keys, which can sign others. */
export interface Issued extends Pair {
  readonly certificate: x509.X509Certificate;
  readonly der: Uint8Array;
  readonly keys: CryptoKeyPair;
}

export interface IssueOptions {
  /** Default: it signs itself. */
  readonly issuer?: Issued;
  readonly extensions?: readonly x509.Extension[];
  /** Days from now. */
  readonly from?: number;
  readonly until?: number;
  readonly keys?: EcKeyGenParams | RsaHashedKeyGenParams;
  /** Keys that are there already. */
  readonly own?: CryptoKeyPair;
  readonly hash?: string;
}

const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;

export const CA = new x509.BasicConstraintsExtension(true, undefined, true);
export const NO_CA = new x509.BasicConstraintsExtension(false, undefined, true);
export const SIGNS = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true);
export const FOR_CLIENTS = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]);
export const FOR_SERVERS = new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]);

/** A restriction of an authority to names below `example`. */
export const NAME_CONSTRAINTS = new x509.Extension(
  "2.5.29.30",
  true,
  Uint8Array.of(0x30, 0x0d, 0xa0, 0x0b, 0x30, 0x09, 0x82, 0x07, ...new TextEncoder().encode("example")),
);

/** A certificate that clients are not expected to understand. */
export const UNKNOWN = new x509.Extension("1.2.3.4.5", true, Uint8Array.of(5, 0));

/** Makes keys and a certificate for them. */
export async function issue(name: string, options: IssueOptions = {}): Promise<Issued> {
  const { issuer, extensions = [NO_CA, FOR_CLIENTS], from = -1, until = 30, keys: algorithm = P256, hash = "SHA-256" } =
    options;
  const keys = options.own ?? await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const signing = issuer?.keys ?? keys;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    notBefore: new Date(Date.now() + from * DAY_MS),
    notAfter: new Date(Date.now() + until * DAY_MS),
    signingAlgorithm: { ...signing.privateKey.algorithm, hash },
    publicKey: keys.publicKey,
    signingKey: signing.privateKey,
    extensions: [...extensions],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate,
    keys,
    cert: `${certificate.toString("pem")}\n`,
    key: `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
    der: new Uint8Array(certificate.rawData),
  };
}

/** An authority. */
export async function issueAuthority(name = "authority", options: IssueOptions = {}): Promise<Issued> {
  return await issue(name, { extensions: [CA, SIGNS], ...options });
}

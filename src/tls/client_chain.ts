/**
 * Verifies a client's certificate again, where its TLS session is an earlier one. The runtime keeps one secret for the
 * tickets of all sessions, takes back tickets of clients whose certificates were refused, and does not verify again. So
 * this accepts less than the runtime does, and nothing that the runtime would refuse.
 */

import type { Extension, PublicKey, X509Certificate } from "@peculiar/x509";

type Library = typeof import("@peculiar/x509");

/** The most certificates of a chain, with the client's own, and the most bytes of each. */
const MOST_CERTIFICATES = 5;
const MOST_BYTES = 16 * 1024;

/** The most signatures that are looked at. A client can send certificates that have all signed each other. */
const MOST_SIGNATURES = 16;

const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const ALT_NAME = "2.5.29.17";
const NAME_CONSTRAINTS = "2.5.29.30";
const UNDERSTOOD: ReadonlySet<string> = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, ALT_NAME]);

/** How the version is written (RFC 5280 §4.1). Without it, the version is 1, which knows no extensions. */
const VERSION_3: readonly number[] = [0xa0, 3, 2, 1, 2];

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const CURVES: ReadonlySet<string> = new Set(["P-256", "P-384"]);
const HASHES: ReadonlySet<string> = new Set(["SHA-256", "SHA-384", "SHA-512"]);
const LEAST_RSA_BITS = 2048;

/**
 * Whether an authority has signed the first certificate, by itself or through the others.
 *
 * @param chain in DER; the client's own first
 * @param authorities in PEM
 */
export async function isTrustedChain(
  chain: readonly Uint8Array[],
  authorities: readonly string[],
  now: Date,
): Promise<boolean> {
  if (chain.length > MOST_CERTIFICATES || chain.some(({ length }) => length > MOST_BYTES)) return false;
  const library = await import("@peculiar/x509"); // takes 80 ms, so it is imported only here
  try {
    const [leaf, ...others] = chain.map((der) => new library.X509Certificate(Uint8Array.from(der)));
    if (
      leaf === undefined || !isSound(leaf, library, now) || leaf.getExtension(library.BasicConstraintsExtension)?.ca
    ) {
      return false;
    }
    const anchors = authorities.map((pem) => new library.X509Certificate(pem));
    return await leadsToAnchor(leaf, others, {
      anchors,
      below: 0,
      signatures: { left: MOST_SIGNATURES },
      library,
      now,
    });
  } catch {
    return false; // it can't be read
  }
}

interface Search {
  readonly anchors: readonly X509Certificate[];
  /** How many intermediate certificates are on the way from the client's to this one. */
  readonly below: number;
  /** How many may still be looked at. */
  readonly signatures: { left: number };
  readonly library: Library;
  readonly now: Date;
}

/** Tries every way, until too many signatures were looked at. */
async function leadsToAnchor(
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  search: Search,
): Promise<boolean> {
  for (const anchor of search.anchors) {
    if (maySign(anchor, search) && await isSignedBy(certificate, anchor, search)) return true;
  }
  for (const other of others) {
    if (!isAuthority(other, search) || !await isSignedBy(certificate, other, search)) continue;
    const rest = others.filter((one) => one !== other);
    if (await leadsToAnchor(other, rest, { ...search, below: search.below + 1 })) return true;
  }
  return false;
}

async function isSignedBy(
  certificate: X509Certificate,
  issuer: X509Certificate,
  { signatures }: Search,
): Promise<boolean> {
  if (!sameBytes(certificate.issuerName.toArrayBuffer(), issuer.subjectName.toArrayBuffer())) return false;
  if (signatures.left-- <= 0) return false;
  return await certificate.verify({ publicKey: issuer.publicKey, signatureOnly: true });
}

/** What an authority's certificate must fulfil, whoever trusts it. */
function maySign(issuer: X509Certificate, { below, library }: Search): boolean {
  const basic = issuer.getExtension(library.BasicConstraintsExtension);
  const usage = issuer.getExtension(library.KeyUsagesExtension);
  if (usage !== null && (usage.usages & library.KeyUsageFlags.keyCertSign) === 0) return false;
  if (issuer.getExtension(NAME_CONSTRAINTS) !== null) return false; // which would have to be looked at
  return isStrong(issuer.publicKey) && (basic?.pathLength === undefined || basic.pathLength >= below);
}

function isAuthority(issuer: X509Certificate, search: Search): boolean {
  const { library, now } = search;
  return issuer.getExtension(library.BasicConstraintsExtension)?.ca === true && maySign(issuer, search) &&
    isSound(issuer, library, now);
}

/** What every certificate of a chain must fulfil. */
function isSound(certificate: X509Certificate, library: Library, now: Date): boolean {
  const { notBefore, notAfter, extensions, publicKey, signatureAlgorithm, rawData } = certificate;
  if (now < notBefore || now > notAfter || !isStrong(publicKey) || !isVersion3(new Uint8Array(rawData))) return false;
  const { name: algorithm, hash } = signatureAlgorithm;
  if (algorithm !== "Ed25519" && !HASHES.has(hash?.name ?? "")) return false;
  if (!extensions.every(isUnderstood) || new Set(extensions.map(({ type }) => type)).size < extensions.length) {
    return false;
  }
  const purposes = certificate.getExtension(library.ExtendedKeyUsageExtension);
  return purposes === null || purposes.usages.includes(CLIENT_AUTH);
}

/** Where the version is in a certificate: behind the heads of two sequences, of which the second is what was signed. */
function isVersion3(der: Uint8Array): boolean {
  const start = behindHead(der, behindHead(der, 0));
  return VERSION_3.every((byte, index) => der[start + index] === byte);
}

/** Where the content of an element in DER begins. */
function behindHead(der: Uint8Array, at: number): number {
  const length = der[at + 1] ?? 0;
  return at + 2 + (length > 0x80 ? length - 0x80 : 0);
}

function isUnderstood({ type, critical }: Extension): boolean {
  return type === NAME_CONSTRAINTS ? false : !critical || UNDERSTOOD.has(type);
}

function isStrong({ algorithm }: PublicKey): boolean {
  const { name } = algorithm;
  if ("modulusLength" in algorithm) return Number(algorithm.modulusLength) >= LEAST_RSA_BITS;
  if ("namedCurve" in algorithm && name !== "Ed25519") return CURVES.has(String(algorithm.namedCurve));
  return name === "Ed25519";
}

function sameBytes(one: ArrayBuffer, other: ArrayBuffer): boolean {
  if (one.byteLength !== other.byteLength) return false;
  const [ones, others] = [new Uint8Array(one), new Uint8Array(other)];
  return ones.every((byte, index) => byte === others[index]);
}

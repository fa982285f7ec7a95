/**
 * The hashes of passwords that a configuration may hold: scrypt in the PHC string format, as `roundhouse hash-password`
 * prints it, and bcrypt. What a hash may cost is bounded, so that no hash eats the memory or the processor.
 */

/** What scrypt (RFC 7914) is told to do. */
export interface ScryptParameters {
  /** The logarithm of the cost N to the base 2. */
  readonly ln: number;
  /** The block size. The work takes 128 · N · r bytes of memory. */
  readonly r: number;
  /** How often it is done, one after the other. */
  readonly p: number;
}

export interface ScryptHash extends ScryptParameters {
  readonly kind: "scrypt";
  readonly salt: Uint8Array<ArrayBuffer>;
  readonly digest: Uint8Array<ArrayBuffer>;
}

export interface BcryptHash {
  readonly kind: "bcrypt";
  readonly cost: number;
  /** As it was written. */
  readonly text: string;
}

export type PasswordHash = ScryptHash | BcryptHash;

/** A text that is no hash. */
export interface NoHash {
  readonly kind: "none";
  /** What is wanted in its place: a noun without a full stop, for an error line. */
  readonly want: string;
}

const MOST_BCRYPT_COST = 12;

/** Enough for each of the parameters that OWASP's Password Storage Cheat Sheet names. */
const MOST_SCRYPT_BYTES = 128 * 1024 ** 2;
const MOST_SCRYPT_WORK = 2 ** 20;

const SCRYPT = /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d?),p=([1-9]\d?)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const LEAST_LN = 10;
const LEAST_SALT_BYTES = 8;
const LEAST_DIGEST_BYTES = 16;

// Of the last character of the salt, and of the digest, two and four bits count. The rest must be 0.
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;
const LEAST_BCRYPT_COST = 4;

/** What a setting for a hash wants. */
export const HASH_WANTED = 'a hash of the password: "roundhouse hash-password" prints one; bcrypt is understood, too';

/** Reads a hash. */
export function parsePasswordHash(text: string): PasswordHash | NoHash {
  if (text.startsWith("$scrypt$")) return parseScrypt(text);
  if (/^\$2[abxy]?\$/.test(text)) return parseBcrypt(text);
  return { kind: "none", want: HASH_WANTED };
}

function parseScrypt(text: string): PasswordHash | NoHash {
  const [, ln, r, p, salt = "", digest = ""] = SCRYPT.exec(text) ?? [];
  const hash = { ln: Number(ln), r: Number(r), p: Number(p), salt: fromBase64(salt), digest: fromBase64(digest) };
  const isWhole = (hash.salt?.length ?? 0) >= LEAST_SALT_BYTES && (hash.digest?.length ?? 0) >= LEAST_DIGEST_BYTES;
  if (!isWhole || hash.salt === undefined || hash.digest === undefined) {
    return { kind: "none", want: "a whole scrypt hash: $scrypt$ln=…,r=…,p=…$SALT$HASH" };
  }
  const cost = 2 ** hash.ln * hash.r;
  if (hash.ln < LEAST_LN || cost * 128 > MOST_SCRYPT_BYTES || cost * hash.p > MOST_SCRYPT_WORK) {
    return {
      kind: "none",
      want: "a scrypt hash with ln from 10, at most 128 MiB of memory and 2^ln · r · p up to 2^20",
    };
  }
  return { kind: "scrypt", ...hash, salt: hash.salt, digest: hash.digest };
}

function parseBcrypt(text: string): PasswordHash | NoHash {
  const [matched, digits] = BCRYPT.exec(text) ?? [];
  const cost = Number(digits);
  if (matched === undefined) return { kind: "none", want: "a whole bcrypt hash that begins with $2a$, $2b$ or $2y$" };
  if (cost >= LEAST_BCRYPT_COST && cost <= MOST_BCRYPT_COST) return { kind: "bcrypt", cost, text };
  return { kind: "none", want: `a bcrypt hash of cost ${LEAST_BCRYPT_COST} to ${MOST_BCRYPT_COST}` };
}

/** A hash in the PHC string format. */
export function formatScrypt({ ln, r, p, salt, digest }: Omit<ScryptHash, "kind">): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toBase64({ omitPadding: true })}$${
    digest.toBase64({ omitPadding: true })
  }`;
}

/** Reads base64 without padding. Bits that do not count must be 0. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.fromBase64(text.padEnd(Math.ceil(text.length / 4) * 4, "="), { lastChunkHandling: "strict" });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

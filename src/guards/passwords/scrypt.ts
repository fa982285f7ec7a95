/** scrypt (RFC 7914), in a thread of the runtime beside the event loop. */

import type { Buffer } from "node:buffer";
import { scrypt, timingSafeEqual } from "node:crypto";
import { formatScrypt, type ScryptHash, type ScryptParameters } from "../../config/password_hash.ts";

/**
 * What new hashes are made with. Of the equally strong parameters in OWASP's Password Storage Cheat Sheet, these take
 * least memory but one: 16 MiB.
 */
const PARAMETERS: ScryptParameters = { ln: 14, r: 8, p: 5 };
const SALT_BYTES = 16;
const DIGEST_BYTES = 32;

/** Makes the hash of a password with a new salt, as the configuration takes it. */
export async function makeScryptHash(password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const digest = await derive(password, { ...PARAMETERS, salt }, DIGEST_BYTES);
  return formatScrypt({ ...PARAMETERS, salt, digest: new Uint8Array(digest) });
}

/** Whether it is the password of the hash. */
export async function matchesScrypt(password: string, hash: ScryptHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, hash, hash.digest.length), hash.digest);
}

type Salted = ScryptParameters & Pick<ScryptHash, "salt">;

function derive(password: string, { ln, r, p, salt }: Salted, bytes: number): Promise<Buffer> {
  const N = 2 ** ln;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, { N, r, p, maxmem: 256 * N * r }, (error, digest) => {
      if (error === null) resolve(digest);
      else reject(error);
    });
  });
}

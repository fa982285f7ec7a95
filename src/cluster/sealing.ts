/** Seals what only the replicas may read, with the secret that they have in common (AES-256-GCM). */

import { Buffer } from "node:buffer";
import { scrypt } from "node:crypto";

const CIPHER = "AES-GCM";
const IV_BYTES = 12;
const KEY_BYTES = 32;

/** The text is damaged, was sealed with another secret, or for another place. */
export class SealError extends Error {
  override readonly name = "SealError";
}

export class Sealing {
  readonly #secret: string;
  #key: Promise<CryptoKey> | undefined;

  constructor(secret: string) {
    this.#secret = secret;
  }

  /** @param place where the text is kept. It can be opened only for that place. */
  async seal(text: string, place: string): Promise<string> {
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const sealed = await crypto.subtle.encrypt(
      algorithm(iv, place),
      await this.#derived(),
      new TextEncoder().encode(text),
    );
    return Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64");
  }

  /** @throws {SealError} */
  async open(sealed: string, place: string): Promise<string> {
    const bytes = Uint8Array.from(Buffer.from(sealed, "base64"));
    const key = await this.#derived();
    try {
      const iv = bytes.subarray(0, IV_BYTES);
      return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm(iv, place), key, bytes.subarray(IV_BYTES)));
    } catch (error) {
      throw new SealError("it is damaged, or sealed with another cluster.secret", { cause: error });
    }
  }

  /** A secret may be guessed, so the key takes a while to make: 50 ms, once. */
  #derived(): Promise<CryptoKey> {
    return this.#key ??= derive(this.#secret);
  }
}

function algorithm(iv: Uint8Array<ArrayBuffer>, place: string): AesGcmParams {
  return { name: CIPHER, iv, additionalData: new TextEncoder().encode(place) };
}

async function derive(secret: string): Promise<CryptoKey> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  scrypt(secret, "roundhouse cluster", KEY_BYTES, (error, key) => {
    if (error === null) resolve(Uint8Array.from(key));
    else reject(error);
  });
  return await crypto.subtle.importKey("raw", await promise, CIPHER, false, ["encrypt", "decrypt"]);
}

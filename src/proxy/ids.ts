/** Random identifiers for requests and traces, cheap enough to make for each request. */

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const POOL_BYTES = 4096;

/** Hands out random hexadecimal text from a pool of random bytes. One per isolate. */
export class RandomHex {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;

  /** Returns `bytes` random bytes (at most 4,096) as lower-case hexadecimal digits. */
  take(bytes: number): string {
    if (this.#used + bytes > POOL_BYTES) {
      crypto.getRandomValues(this.#pool);
      this.#used = 0;
    }
    let text = "";
    for (const end = this.#used + bytes; this.#used < end; this.#used++) text += HEX[this.#pool[this.#used] ?? 0];
    return text;
  }
}

/** Random identifiers for requests and traces, cheap enough to make for each request. */

const POOL_BYTES = 4096;

/** Hands out random hexadecimal text, cut from a pool that is made at once. One per isolate. */
export class RandomHex {
  #pool = "";
  #used = 0;

  /** Returns `bytes` random bytes (at most 4,096) as lower-case hexadecimal digits. */
  take(bytes: number): string {
    const end = this.#used + 2 * bytes;
    if (end > this.#pool.length) {
      this.#pool = crypto.getRandomValues(new Uint8Array(POOL_BYTES)).toHex();
      this.#used = 0;
      return this.take(bytes);
    }
    const text = this.#pool.slice(this.#used, end);
    this.#used = end;
    return text;
  }
}

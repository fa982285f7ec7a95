/** Random identifiers for requests and traces. They are cheap enough to make for each request. */

const POOL_BYTES = 4096;

/** Returns random hexadecimal text. It is cut from a long text, because generating many bytes at once is cheaper. */
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

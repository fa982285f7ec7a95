/** Bytes that arrive in parts and are wanted as a whole. */

const LEAST_BYTES = 1024;

/** Its memory grows with the bytes, not with the number of parts. */
export class CollectedBytes {
  readonly #mostBytes: number;
  #memory = new Uint8Array();
  #length = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** How many more there is room for. */
  get room(): number {
    return this.#mostBytes - this.#length;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#memory.subarray(0, this.#length);
  }

  /** Returns whether there was room. If not, nothing of the part is kept. */
  add(part: Uint8Array): boolean {
    if (part.length > this.room) return false;
    const length = this.#length + part.length;
    if (length > this.#memory.length) {
      const grown = new Uint8Array(Math.min(Math.max(length, 2 * this.#length, LEAST_BYTES), this.#mostBytes));
      grown.set(this.bytes);
      this.#memory = grown;
    }
    this.#memory.set(part, this.#length);
    this.#length = length;
    return true;
  }
}

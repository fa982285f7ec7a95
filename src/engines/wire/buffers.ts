/** Large buffers, lent to connections while they relay a body. */

import { Buffer } from "node:buffer";

/** Bytes of a buffer for bodies of which no more than this is left. */
const MEDIUM = 64 * 1024;

/**
 * How many idle buffers are kept. More are dropped when they come back. Buffers that are made for each body would have
 * all garbage collected several times a second.
 */
const MOST_MEDIUM = 128;
const MOST_LARGE = 32;

export class LargeBuffers {
  /** Bytes of the larger ones. */
  readonly #size: number;
  readonly #medium: Buffer[] = [];
  readonly #large: Buffer[] = [];

  constructor(size = 256 * 1024) {
    this.#size = size;
  }

  /** Bytes of the buffer that `take` returns. */
  sizeFor(bytesLeft: number): number {
    return bytesLeft > MEDIUM ? this.#size : Math.min(MEDIUM, this.#size);
  }

  /** @param bytesLeft how much of the body is left; `Infinity`: it is not known */
  take(bytesLeft = Infinity): Buffer {
    const size = this.sizeFor(bytesLeft);
    return (size === this.#size ? this.#large : this.#medium).pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Takes a buffer back. No read or write may use it any more. A buffer of another size is dropped. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.#size) {
      if (this.#large.length < MOST_LARGE) this.#large.push(buffer);
    } else if (buffer.length === MEDIUM && this.#medium.length < MOST_MEDIUM) {
      this.#medium.push(buffer);
    }
  }
}

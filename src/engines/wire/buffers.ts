/** Buffers that connections have in turn: large ones while they relay a body, and a small one for heads. */

import { Buffer } from "node:buffer";

/** Bytes of a buffer for bodies of which no more than this is left. */
const MEDIUM = 64 * 1024;

/**
 * How many idle buffers are kept. More are dropped when they come back. Buffers that are made for each body would have
 * all garbage collected several times a second.
 */
const MOST_MEDIUM = 128;
const MOST_LARGE = 32;

/**
 * Enough for most heads. A longer head makes the buffer grow until it has been read. This is much of the memory of an
 * idle connection.
 */
const HEAD_BYTES = 1.5 * 1024;
const MOST_HEADS = 256;

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

/** Buffers of clients' connections. A new connection gets that of one that has ended, which costs less than a new one. */
export class HeadBuffers {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(HEAD_BYTES);
  }

  /** Takes a buffer back. No read or write may use it any more. */
  giveBack(buffer: Buffer): void {
    if (this.#free.length < MOST_HEADS) this.#free.push(buffer);
  }
}

/** Large buffers, lent to connections while they relay a large body. */

import { Buffer } from "node:buffer";

/** How many idle buffers are kept. More are dropped when they come back. */
const MOST_KEPT = 32;

export class LargeBuffers {
  /** Bytes of each buffer. */
  readonly size: number;
  readonly #free: Buffer[] = [];

  constructor(size = 256 * 1024) {
    this.size = size;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Takes a buffer back. No read or write may use it any more. A buffer of another size is dropped. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.size && this.#free.length < MOST_KEPT) this.#free.push(buffer);
  }
}

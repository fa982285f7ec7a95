/** Large buffers, lent to whoever relays a large body. */

import { Buffer } from "node:buffer";

/** Beyond this many idle ones, those that come back are let go. */
const MOST_KEPT = 32;

export class LargeBuffers {
  /** Bytes of each. */
  readonly size: number;
  readonly #free: Buffer[] = [];

  constructor(size = 256 * 1024) {
    this.size = size;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Nothing may read into it or write from it any more. One of another size is let go. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === this.size && this.#free.length < MOST_KEPT) this.#free.push(buffer);
  }
}

/** The reading side of a guarded connection: one buffer, and a pending read whenever it has room. */

import { Buffer } from "node:buffer";

/** Enough for nearly every request. */
const FIRST_BYTES = 4096;

/** Longest time for reads that are ready, without giving the event loop a turn. */
const MOST_BUSY_MS = 5;

/** Bytes from `start` to `end` are unread. */
export class Intake {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  start = 0;
  end = 0;
  /** No more bytes will arrive: the client has ended, or the connection has failed or was closed. */
  ended = false;
  readonly #link: Pick<Deno.Conn, "read">;
  readonly #mostBytes: number;
  readonly #onEnd: () => void;
  #reading = false;
  #wake: (() => void) | undefined;
  /** Whether `wake()` was called before the wait began. */
  #woken = false;
  #turnAt = performance.now(); // so that the first read does not wait

  /**
   * @param mostBytes the size that the buffer may grow to
   * @param onEnd called once, when no more bytes will arrive
   */
  constructor(link: Pick<Deno.Conn, "read">, mostBytes: number, onEnd: () => void) {
    this.#link = link;
    this.#mostBytes = Math.max(mostBytes, FIRST_BYTES);
    this.#onEnd = onEnd;
  }

  get unread(): number {
    return this.end - this.start;
  }

  /** Starts a read if none is pending, so that the end of the client is noticed too. Not with a full buffer. */
  read(): void {
    if (this.#reading || this.ended) return;
    if (this.unread === 0 && this.bytes.length > FIRST_BYTES) this.#moveTo(Buffer.allocUnsafeSlow(FIRST_BYTES));
    else if (this.start > 0) this.#moveTo(this.bytes);
    if (this.end === this.bytes.length) return;
    this.#reading = true;
    this.#link.read(this.bytes.subarray(this.end)).then(this.#arrived, this.#failed);
  }

  /** Waits for more bytes, for the end, or for `wake()`. May return earlier, so the caller must check. */
  async more(): Promise<void> {
    await this.turn();
    if (this.ended) return;
    if (this.unread === this.bytes.length && !this.#reading) this.#grow();
    this.read();
    if (!this.#woken) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#woken = false;
  }

  /** Gives the event loop a turn, if the last is some time ago. A client that always has bytes ready never would. */
  async turn(): Promise<void> {
    if (performance.now() - this.#turnAt < MOST_BUSY_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnAt = performance.now();
  }

  /** Ends the wait of `more()`. */
  wake(): void {
    if (this.#wake === undefined) this.#woken = true;
    else this.#wake();
    this.#wake = undefined;
  }

  readonly #arrived = (count: number | null): void => {
    this.#reading = false;
    if (count === null) return this.#end();
    this.end += count;
    this.wake();
    this.read();
  };

  readonly #failed = (): void => {
    this.#reading = false;
    this.#end();
  };

  #end(): void {
    this.ended = true;
    this.wake();
    this.#onEnd();
  }

  /** The caller refuses a request that does not fit before the buffer is full. */
  #grow(): void {
    const size = Math.min(this.bytes.length * 2, this.#mostBytes);
    if (size > this.bytes.length) this.#moveTo(Buffer.allocUnsafeSlow(size));
  }

  #moveTo(buffer: Buffer): void {
    buffer.set(this.bytes.subarray(this.start, this.end));
    this.end -= this.start;
    this.start = 0;
    this.bytes = buffer;
  }
}

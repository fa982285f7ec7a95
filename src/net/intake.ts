/** The reading side of a guarded connection: one buffer, and a read under way whenever it has room. */

import { Buffer } from "node:buffer";

/** What nearly every request needs. */
const FIRST_BYTES = 4096;

/** Reads that are ready in a row hold the event loop for no longer than this. */
const MOST_BUSY_MS = 5;

/** Bytes from `start` to `end` are unread. */
export class Intake {
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  start = 0;
  end = 0;
  /** Nothing more will come: the client has ended, or the connection has failed or was closed. */
  ended = false;
  readonly #link: Pick<Deno.Conn, "read">;
  readonly #mostBytes: number;
  readonly #onEnd: () => void;
  #reading = false;
  #wake: (() => void) | undefined;
  /** Whether there was a reason to end a wait that had not begun. */
  #woken = false;
  #turnAt = performance.now(); // the first read is not to wait

  /**
   * @param mostBytes of the buffer, which grows to that
   * @param onEnd called once, when nothing more will come
   */
  constructor(link: Pick<Deno.Conn, "read">, mostBytes: number, onEnd: () => void) {
    this.#link = link;
    this.#mostBytes = Math.max(mostBytes, FIRST_BYTES);
    this.#onEnd = onEnd;
  }

  get unread(): number {
    return this.end - this.start;
  }

  /** Sees to it that a read is under way, so that the client's end is noticed too. Not with a full buffer. */
  read(): void {
    if (this.#reading || this.ended) return;
    if (this.unread === 0 && this.bytes.length > FIRST_BYTES) this.#moveTo(Buffer.allocUnsafeSlow(FIRST_BYTES));
    else if (this.start > 0) this.#moveTo(this.bytes);
    if (this.end === this.bytes.length) return;
    this.#reading = true;
    this.#link.read(this.bytes.subarray(this.end)).then(this.#arrived, this.#failed);
  }

  /** Waits for bytes beyond those unread, for the end, or for `wake()`. May return before: whoever calls looks again. */
  async more(): Promise<void> {
    await this.turn();
    if (this.ended) return;
    if (this.unread === this.bytes.length && !this.#reading) this.#grow();
    this.read();
    if (!this.#woken) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#woken = false;
  }

  /** Lets others get on, if it has been a while: a client whose bytes are always there would never give them a turn. */
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

  /** Whoever has to see more than this refuses what it sees first. */
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

/** The reading side of a connection. It has one buffer, and at most one read at a time. */

import { Buffer } from "node:buffer";
import type { LargeBuffers } from "./buffers.ts";
import type { Link } from "./link.ts";

/** The owner of the connection. It is told what arrives while nobody waits in `more`. */
export interface InletListener {
  /** Bytes have arrived, or the connection has ended. */
  inletChanged(): void;
}

/** Waits for what arrives. */
export interface InletWaiter {
  /** More bytes have arrived, or the connection has ended. Called once for each wait. */
  moreCame(): void;
}

/** Reads a connection into a buffer. Bytes from `start` to `end` are unread. */
export class Inlet {
  bytes: Buffer;
  start: number;
  end: number;
  /** Whether nothing more will arrive: the peer has ended, or the connection has failed or was closed. */
  ended = false;
  /** Why it ended; `undefined`: the peer has ended it. */
  error: unknown;
  readonly #link: Link;
  readonly #listener: InletListener;
  readonly #home: Buffer;
  readonly #headroom: number;
  /** Its own buffer after the headroom. Nearly every read goes there. */
  readonly #front: Uint8Array;
  #reading = false;
  #waiter: InletWaiter | undefined;

  /**
   * @param home its own buffer, which stays as long as the connection
   * @param headroom bytes at the front that stay free, so that a head can be written before the bytes that were read
   */
  constructor(link: Link, listener: InletListener, home: Buffer, headroom = 0) {
    this.#link = link;
    this.#listener = listener;
    this.#home = home;
    this.#headroom = headroom;
    this.#front = headroom === 0 ? this.#home : this.#home.subarray(headroom); // there are very many without headroom
    this.bytes = this.#home;
    this.start = this.end = headroom;
  }

  get unread(): number {
    return this.end - this.start;
  }

  /** Its own buffer, when nothing is read into it any more. */
  get freed(): Buffer | undefined {
    return this.ended ? this.#home : undefined;
  }

  /** Starts a read, unless one is running, the connection has ended, or the buffer is full. */
  read(): void {
    if (this.#reading || this.ended) return;
    if (this.start === this.end) this.start = this.end = this.#headroom;
    else if (this.end === this.bytes.length) this.#moveToFront();
    if (this.end === this.bytes.length) return;
    this.#reading = true;
    const atFront = this.end === this.#headroom && this.bytes === this.#home;
    this.#link.read(atFront ? this.#front : this.bytes.subarray(this.end)).then(this.#arrived, this.#failed);
  }

  /** Waits for more bytes, or for the end. The buffer must have room. */
  more(): Promise<void> {
    return new Promise((resolve) => this.waitFor({ moreCame: resolve }));
  }

  /** Like `more`, for one who has a method for it, which costs less than a promise. */
  waitFor(waiter: InletWaiter): void {
    this.#waiter = waiter;
    this.read();
  }

  /** Makes room for at least one more byte. Doubles a full buffer. */
  makeRoom(): void {
    if (this.#reading || this.unread < this.bytes.length - this.#headroom) return;
    this.#moveTo(Buffer.allocUnsafeSlow(this.bytes.length * 2));
  }

  /**
   * Reads into a large buffer from now on, unless it does already. Unread bytes move there.
   *
   * @param bytesLeft how much of the body is left
   */
  widen(buffers: LargeBuffers, bytesLeft = Infinity): void {
    if (this.#reading || this.bytes.length >= buffers.sizeFor(bytesLeft)) return;
    this.#moveTo(buffers.take(bytesLeft));
  }

  /**
   * Goes back to its own buffer, if the unread bytes fit.
   *
   * @param buffers where a large buffer came from. Default: there was none
   */
  narrow(buffers?: LargeBuffers): void {
    if (this.#reading || this.bytes === this.#home || this.unread > this.#home.length - this.#headroom) return;
    const { bytes } = this;
    this.#moveTo(this.#home);
    buffers?.giveBack(bytes);
  }

  readonly #arrived = (count: number | null): void => {
    this.#reading = false;
    if (count === null) this.ended = true;
    else this.end += count;
    this.#notify();
  };

  readonly #failed = (error: unknown): void => {
    this.#reading = false;
    this.ended = true;
    this.error = error;
    this.#notify();
  };

  #notify(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return this.#listener.inletChanged();
    this.#waiter = undefined;
    waiter.moreCame();
  }

  #moveToFront(): void {
    this.bytes.copyWithin(this.#headroom, this.start, this.end);
    this.end -= this.start - this.#headroom;
    this.start = this.#headroom;
  }

  #moveTo(buffer: Buffer): void {
    buffer.set(this.bytes.subarray(this.start, this.end), this.#headroom);
    this.end = this.#headroom + this.unread;
    this.start = this.#headroom;
    this.bytes = buffer;
  }
}

/** The reading side of a connection: one buffer, and a read under way whenever somebody wants to know. */

import { Buffer } from "node:buffer";
import type { LargeBuffers } from "./buffers.ts";
import type { Link } from "./link.ts";

/** Whoever a connection belongs to while nobody waits for its bytes. */
export interface InletListener {
  /** Bytes came, or the end. */
  inletChanged(): void;
}

/** Reads a connection into a buffer. Bytes from `start` to `end` are unread. */
export class Inlet {
  bytes: Buffer;
  start: number;
  end: number;
  /** Nothing more will come: the peer has ended, or the connection has failed or was closed. */
  ended = false;
  /** Why, if not by a regular end. */
  error: unknown;
  readonly #link: Link;
  readonly #listener: InletListener;
  readonly #home: Buffer;
  readonly #headroom: number;
  /** Where nearly every read goes: all of its own buffer behind the headroom. */
  readonly #front: Uint8Array;
  #reading = false;
  #wake: (() => void) | undefined;

  /**
   * @param size bytes of the buffer, which stays for as long as the connection
   * @param headroom bytes at the front that stay free, so that something can be put before what was read
   */
  constructor(link: Link, listener: InletListener, size: number, headroom = 0) {
    this.#link = link;
    this.#listener = listener;
    this.#home = Buffer.allocUnsafeSlow(size);
    this.#headroom = headroom;
    this.#front = this.#home.subarray(headroom);
    this.bytes = this.#home;
    this.start = this.end = headroom;
  }

  get unread(): number {
    return this.end - this.start;
  }

  /** Sees to it that a read is under way, unless all is over or the buffer is full. */
  read(): void {
    if (this.#reading || this.ended) return;
    if (this.start === this.end) this.start = this.end = this.#headroom;
    else if (this.end === this.bytes.length) this.#moveToFront();
    if (this.end === this.bytes.length) return;
    this.#reading = true;
    const atFront = this.end === this.#headroom && this.bytes === this.#home;
    this.#link.read(atFront ? this.#front : this.bytes.subarray(this.end)).then(this.#arrived, this.#failed);
  }

  /** Waits for bytes beyond those unread, or for the end. The buffer must have room. */
  more(): Promise<void> {
    this.read();
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Makes room for at least one byte more; a full buffer is doubled. */
  makeRoom(): void {
    if (this.#reading || this.unread < this.bytes.length - this.#headroom) return;
    this.#moveTo(Buffer.allocUnsafeSlow(this.bytes.length * 2));
  }

  /** Reads into a large buffer from now on, if none is in use already; bytes not read yet move with it. */
  widen(buffers: LargeBuffers): void {
    if (this.#reading || this.bytes.length >= buffers.size) return;
    this.#moveTo(buffers.take());
  }

  /** Goes back to its own buffer, if what is unread fits. */
  narrow(buffers: LargeBuffers): void {
    if (this.#reading || this.bytes === this.#home || this.unread > this.#home.length - this.#headroom) return;
    const { bytes } = this;
    this.#moveTo(this.#home);
    buffers.giveBack(bytes);
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
    const wake = this.#wake;
    if (wake === undefined) return this.#listener.inletChanged();
    this.#wake = undefined;
    wake();
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

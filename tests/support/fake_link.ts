/** A connection whose other side is the test. */

import type { Link } from "../../src/engines/wire/link.ts";

interface Reading {
  readonly into: Uint8Array;
  readonly resolve: (count: number | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Delivers the bytes that a test gives it, one read at a time, and records what is written. */
export class FakeLink implements Link {
  /** Copies of what was written, in order. */
  readonly written: Uint8Array[] = [];
  closed = false;
  writeClosed = false;
  /** Whether a write waits for the gate. */
  writing = false;
  /** While set, writes wait for it. If it rejects, they fail. */
  gate: Promise<void> | undefined;
  #reading: Reading | undefined;

  /** Whether a read waits for bytes. */
  get isRead(): boolean {
    return this.#reading !== undefined;
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#reading !== undefined) throw new Error("two reads at once");
    if (into.length === 0) throw new Error("a read of nothing");
    if (this.closed) return Promise.reject(new Error("closed"));
    return new Promise((resolve, reject) => this.#reading = { into, resolve, reject });
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.writing = true;
    await this.gate;
    this.writing = false;
    if (this.closed) throw new Error("closed");
    this.written.push(bytes.slice());
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    this.writeClosed = true;
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
    this.#take()?.reject(new Error("closed"));
  }

  /** Gives bytes to the pending read, as many as fit. Returns how many. */
  deliver(bytes: Uint8Array): number {
    const reading = this.#take();
    if (reading === undefined) throw new Error("nobody reads");
    const count = Math.min(bytes.length, reading.into.length);
    reading.into.set(bytes.subarray(0, count));
    reading.resolve(count);
    return count;
  }

  /** The other side ends the connection, or breaks it off. */
  end(error?: Error): void {
    const reading = this.#take();
    if (error === undefined) reading?.resolve(null);
    else reading?.reject(error);
  }

  #take(): Reading | undefined {
    const reading = this.#reading;
    this.#reading = undefined;
    return reading;
  }
}

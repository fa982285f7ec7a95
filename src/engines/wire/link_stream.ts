/** A connection as a stream, for `node:tls`, which can encrypt any stream. */

import { Duplex } from "node:stream";
import { closeQuietly } from "../../net/close_quietly.ts";
import { type Link, writeAll } from "./link.ts";

/** The size of the buffer for small reads. Each connection keeps one, also while it is idle. */
const SMALL_BYTES = 2 * 1024;

/** The size of the buffer that is used after a read has filled the small one. */
const LARGE_BYTES = 64 * 1024;

/**
 * The bytes of a link without encryption. It owns the link. The runtime's TLS continues to read while it is paused, so
 * this class has its own switch for reading.
 */
export class LinkStream extends Duplex {
  readonly #link: Link;
  readonly #small = new Uint8Array(SMALL_BYTES);
  #into = this.#small;
  #reading = false;
  #stopped = false;
  #wanted = false;
  /** Bytes that were read before anybody wanted them. */
  #early: Uint8Array | undefined;
  /** The read after those. */
  #next: Promise<number | null> | undefined;

  constructor(link: Link) {
    super({ allowHalfOpen: true });
    this.#link = link;
  }

  /**
   * Waits for the first bytes, unless `early` ones were read before. Returns whether the other end is still there: it may
   * have sent bytes and left long ago. Call it before anything else reads.
   */
  async begins(early: Uint8Array | undefined): Promise<boolean> {
    if (early === undefined || early.length === 0) {
      const count = await this.#link.read(this.#small);
      if (count === null) return false;
      this.#early = this.#small.slice(0, count);
    } else {
      this.#early = early;
    }
    let isThere = true;
    const left = () => isThere = false;
    this.#next = this.#link.read(this.#small);
    this.#next.then((count) => count === null && left(), left);
    await new Promise<void>((resolve) => setImmediate(resolve)); // by then an end that has come is seen
    return isThere;
  }

  /** The first byte, when `begins` has returned `true`. */
  get firstByte(): number | undefined {
    return this.#early?.[0];
  }

  /**
   * Answers without encryption, in place of anything else. Settles when the other end has closed: a connection that is
   * closed while bytes arrive is reset, and the answer lost. Rejects when the stream is destroyed meanwhile.
   */
  async answerPlainly(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#link, bytes);
    await this.#link.closeWrite();
    for (let count = await this.#next; count !== null; count = await this.#link.read(this.#small));
  }

  readStart(): void {
    this.#stopped = false;
    if (this.#wanted) this._read();
  }

  readStop(): void {
    this.#stopped = true;
  }

  /** Like `Link.setKeepAlive`. */
  setKeepAlive(on: boolean): void {
    this.#link.setKeepAlive?.(on);
  }

  override _read(): void {
    this.#wanted = true;
    if (this.#reading || this.#stopped) return;
    this.#reading = true;
    if (this.#early !== undefined) return void setImmediate(this.#giveEarly);
    const next = this.#next ?? this.#link.read(this.#into);
    this.#next = undefined;
    next.then(this.#arrived, this.#failed);
  }

  override _write(bytes: Uint8Array, _: string, done: (error?: Error) => void): void {
    writeAll(this.#link, bytes).then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#link.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    closeQuietly(this.#link);
    done(error);
  }

  /** Later: the runtime's TLS throws an error that cannot be caught if it gets garbage before its first tick. */
  readonly #giveEarly = (): void => {
    const early = this.#early;
    this.#early = undefined;
    this.#reading = this.#wanted = false;
    if (!this.destroyed) this.push(early);
  };

  readonly #arrived = (count: number | null): void => {
    this.#reading = this.#wanted = false;
    if (this.destroyed) return;
    if (count === null) return void this.push(null);
    const bytes = this.#into.slice(0, count);
    this.#into = count < this.#into.length ? this.#small : this.#into.length === LARGE_BYTES ? this.#into : large();
    this.push(bytes);
  };

  readonly #failed = (error: Error): void => {
    this.#reading = false;
    this.destroy(error);
  };
}

function large(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(LARGE_BYTES);
}

/** Moves a request's body to a backend. */

import type { Buffer } from "node:buffer";
import type { BodyFraming } from "../../http1/body.ts";
import { type BodyReader, bodyReader } from "../../http1/body_reader.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import type { BodyWatcher, Limits } from "../../proxy/exchange.ts";
import type { BackendConnection } from "./backend/backend_connection.ts";
import type { WireContext } from "./context.ts";
import type { Inlet } from "./inlet.ts";
import type { OutgoingBody } from "./outgoing_body.ts";
import { Timed, type TimeoutQueue } from "./timeouts.ts";

/** What can be wrong with a body. */
export type UploadFault = "client_gone" | "malformed" | "too_large";

/** What an upload needs. */
export interface UploadOptions {
  readonly limits: Limits;
  /** The limit for the next byte. */
  readonly idle: TimeoutQueue;
  readonly listener: UploadListener;
  /** Runs while the client must send. */
  readonly clientClock: Timed;
  /** Shown all that goes to the backend. */
  readonly watcher: BodyWatcher | undefined;
}

/** The owner of the upload. */
export interface UploadListener {
  /** The last byte was sent. */
  uploadEnded(): void;
  /** @param detail what is malformed, or how many bytes are allowed */
  uploadFailed(fault: UploadFault, detail: string): void;
  /** The backend has taken no byte for `timeouts.idle`. */
  uploadStuck(): void;
}

/**
 * Reads a client's body and writes it to a backend. The bytes are not changed, with or without chunks. Only trailers
 * that the backend may not get are removed. Its clock runs while the backend must take a part.
 */
export class Upload extends Timed implements OutgoingBody {
  readonly #inlet: Inlet;
  readonly #reader: BodyReader;
  readonly #context: WireContext;
  /** The length of the body; `Infinity`: it is not known. */
  readonly #bytes: number;
  readonly #maxBodyBytes: number;
  readonly #idle: TimeoutQueue;
  readonly #listener: UploadListener;
  readonly #clientClock: Timed;
  readonly #watcher: BodyWatcher | undefined;
  #touched = false;

  constructor(
    framing: BodyFraming,
    inlet: Inlet,
    context: WireContext,
    { limits, idle, listener, clientClock, watcher }: UploadOptions,
  ) {
    super();
    this.#inlet = inlet;
    this.#reader = bodyReader(framing, context.maxHeaderBytes, limits.dropsRequestTrailer);
    this.#bytes = framing.kind === "length" ? framing.bytes : Infinity;
    this.#context = context;
    this.#maxBodyBytes = limits.maxBodyBytes;
    this.#idle = idle;
    this.#listener = listener;
    this.#clientClock = clientClock;
    this.#watcher = watcher;
  }

  /** Whether no part of it was read for sending. */
  get untouched(): boolean {
    return !this.#touched;
  }

  get done(): boolean {
    return this.#reader.done;
  }

  /** Bytes of data that the client has sent. */
  get bytesIn(): number {
    return this.#reader.dataBytes;
  }

  takeReady(into: Buffer, at: number): number {
    const inlet = this.#inlet;
    const to = this.#readOn(inlet.start + Math.min(inlet.unread, into.length - at));
    if (to === undefined) return at;
    const { bytes } = inlet;
    const part = this.#reader.kept(bytes, to); // not longer than what was read, because it is the first part
    into.set(part, at);
    this.#watcher?.bodyCame(part, this.done);
    inlet.start = to;
    return at + part.length;
  }

  async run(connection: BackendConnection): Promise<void> {
    const inlet = this.#inlet;
    while (!this.done) {
      if (inlet.unread === 0 && !await this.#wait()) return;
      const pause = this.#context.pace.pause();
      if (pause !== undefined) await pause;
      const to = this.#readOn(inlet.end);
      if (to === undefined) return;
      const part = this.#reader.kept(inlet.bytes, to);
      this.#watcher?.bodyCame(part, this.done);
      inlet.start = to; // the reader must not see these bytes again, even if sending fails
      // If sending fails, the backend may have answered before it broke off. Its answer tells more than this failure.
      this.#idle.start(this);
      const sent = await connection.send(part, this);
      this.stopClock();
      if (!sent) return;
    }
    inlet.narrow(this.#context.buffers);
    this.#listener.uploadEnded();
  }

  /** Skips what has arrived. Returns whether that was the rest of the body. */
  skipReady(): boolean {
    const to = this.#readOn(this.#inlet.end);
    if (to !== undefined) this.#inlet.start = to;
    return this.done;
  }

  timedOut(): void {
    this.#listener.uploadStuck();
  }

  async #wait(): Promise<boolean> {
    const inlet = this.#inlet;
    if (this.#touched) inlet.widen(this.#context.buffers, this.#bytes - this.bytesIn);
    this.#idle.start(this.#clientClock);
    await inlet.more();
    this.#clientClock.stopClock();
    if (inlet.unread > 0) return true;
    this.#listener.uploadFailed("client_gone", "the client left");
    return false;
  }

  #readOn(end: number): number | undefined {
    this.#touched = true;
    try {
      const to = this.#reader.read(this.#inlet.bytes, this.#inlet.start, end);
      if (this.#reader.dataBytes <= this.#maxBodyBytes) return to;
      this.#listener.uploadFailed("too_large", String(this.#maxBodyBytes));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#listener.uploadFailed("malformed", error.message);
    }
    return undefined;
  }
}

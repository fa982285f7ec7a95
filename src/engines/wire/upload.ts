/** A request's body on its way to a backend. */

import type { Buffer } from "node:buffer";
import type { BodyFraming } from "../../http1/body.ts";
import { type BodyReader, bodyReader } from "../../http1/body_reader.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import type { Limits } from "../../proxy/exchange.ts";
import type { BackendConnection } from "./backend/backend_connection.ts";
import type { WireContext } from "./context.ts";
import type { Inlet } from "./inlet.ts";
import { Timed } from "./timeouts.ts";

/** What can be wrong with a body. */
export type UploadFault = "client_gone" | "malformed" | "too_large";

/** What an upload goes by. */
export interface UploadOptions {
  readonly limits: Limits;
  readonly listener: UploadListener;
  /** Runs while the client is to send. */
  readonly clientClock: Timed;
}

/** Whoever the upload belongs to. */
export interface UploadListener {
  /** The last byte is on its way. */
  uploadEnded(): void;
  /** @param detail what is malformed, or how many bytes it may be */
  uploadFailed(fault: UploadFault, detail: string): void;
  /** The backend takes no byte of it. */
  uploadStuck(): void;
}

/**
 * Reads a client's body and writes it to a backend. Bodies of known length and chunks alike cross as they are, but
 * for trailers that the backend may not get. Its clock runs while the backend is to take a part.
 */
export class Upload extends Timed {
  readonly #inlet: Inlet;
  readonly #reader: BodyReader;
  readonly #context: WireContext;
  readonly #maxBodyBytes: number;
  readonly #listener: UploadListener;
  readonly #clientClock: Timed;
  #touched = false;

  constructor(
    framing: BodyFraming,
    inlet: Inlet,
    context: WireContext,
    { limits, listener, clientClock }: UploadOptions,
  ) {
    super();
    this.#inlet = inlet;
    this.#reader = bodyReader(framing, context.maxHeaderBytes, limits.dropsRequestTrailer);
    this.#context = context;
    this.#maxBodyBytes = limits.maxBodyBytes;
    this.#listener = listener;
    this.#clientClock = clientClock;
  }

  /** Whether nothing of it was handed out. */
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

  /** Moves what has come already to `into` from `at` on, as far as it fits; returns where it ends. */
  takeReady(into: Buffer, at: number): number {
    const inlet = this.#inlet;
    const to = this.#readOn(inlet.start + Math.min(inlet.unread, into.length - at));
    if (to === undefined) return at;
    const { bytes } = inlet;
    const part = this.#reader.kept(bytes, to); // never more than was read: it is the first part
    into.set(part, at);
    inlet.start = to;
    return at + part.length;
  }

  /** Sends the rest to the backend. Never rejects. */
  async run(connection: BackendConnection): Promise<void> {
    const inlet = this.#inlet;
    while (!this.done) {
      if (inlet.unread === 0 && !await this.#wait()) return;
      const pause = this.#context.pace.pause();
      if (pause !== undefined) await pause;
      const to = this.#readOn(inlet.end);
      if (to === undefined) return;
      const part = this.#reader.kept(inlet.bytes, to);
      inlet.start = to; // what the reader has seen it must not see again, whatever becomes of this
      // A backend that breaks off may have answered before: its answer tells more than this failure.
      this.#context.idleTimeouts.start(this);
      const sent = await connection.send(part, this);
      this.stopClock();
      if (!sent) return;
    }
    inlet.narrow(this.#context.buffers);
    this.#listener.uploadEnded();
  }

  /** Passes over what has come already; returns whether that was all of it. */
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
    const { buffers, idleTimeouts } = this.#context;
    if (this.#touched) inlet.widen(buffers);
    idleTimeouts.start(this.#clientClock);
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

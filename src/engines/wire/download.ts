/** Moves a response's body to a client. */

import { Buffer } from "node:buffer";
import type { BodyFraming } from "../../http1/body.ts";
import { type BodyReader, bodyReader } from "../../http1/body_reader.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import { encodeHead } from "../../http1/writer.ts";
import type { BackendConnection } from "./backend/backend_connection.ts";
import type { WireContext } from "./context.ts";
import type { ExchangeClient } from "./exchange_client.ts";
import { Timed, type TimeoutQueue } from "./timeouts.ts";
import type { Transfer } from "./transfer.ts";

/** How it ended: complete; the backend broke it off; it was malformed; the client left. */
export type DownloadEnd = "whole" | "broken" | "malformed" | "client_gone";

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** A body of which at least this many bytes are left after the first read is read through a large buffer. */
const LARGE_BYTES = 128 * 1024;

/** How a body arrives, and how it is sent. */
export interface DownloadOptions {
  readonly framing: BodyFraming;
  readonly transfer: Transfer;
  /** Whether a trailer of this name is dropped. */
  readonly dropsTrailer: (name: string) => boolean;
  /** The limit for the next byte. */
  readonly idle: TimeoutQueue;
}

/** The owner of the download. */
export interface DownloadListener {
  downloadEnded(end: DownloadEnd): void;
  /** @param side the side that has moved no byte for `timeouts.idle` */
  downloadStuck(side: "client" | "backend"): void;
}

/** The clock runs while waiting for the backend's next byte, and while the client must take one. */
export class Download extends Timed {
  /** What is wrong with a malformed body. */
  fault = "";
  /** Whether the client has been sent anything. */
  begun = false;
  /** Whether the clock runs for the client, which must take bytes, and not for the backend. */
  waitsForClient = false;
  readonly #connection: BackendConnection;
  readonly #client: ExchangeClient;
  readonly #reader: BodyReader;
  readonly #framing: BodyFraming;
  readonly #transfer: Transfer;
  readonly #idle: TimeoutQueue;
  readonly #context: WireContext;
  readonly #listener: DownloadListener;

  constructor(
    connection: BackendConnection,
    client: ExchangeClient,
    { framing, transfer, dropsTrailer, idle }: DownloadOptions,
    context: WireContext,
    listener: DownloadListener,
  ) {
    super();
    this.#connection = connection;
    this.#client = client;
    this.#framing = framing;
    this.#reader = bodyReader(framing, context.maxHeaderBytes, dropsTrailer);
    this.#transfer = transfer;
    this.#idle = idle;
    this.#context = context;
    this.#listener = listener;
  }

  /** Bytes of data so far, without the framing. */
  get bytesOut(): number {
    return this.#reader.dataBytes;
  }

  /** Sends the head and the whole body. The listener is told when that has ended. */
  run(head: string): void {
    const part = this.#nextPart();
    if (part === undefined) return this.#listener.downloadEnded("malformed");
    this.begun = true;
    this.#waitForClient();
    void this.#client.send(this.#inFront(head, part), this).then((sent) => this.#relay(sent));
  }

  timedOut(): void {
    this.#listener.downloadStuck(this.waitsForClient ? "client" : "backend");
  }

  /** @param begun whether the client has taken the head, and what had arrived of the body with it */
  #relay(begun: boolean): void {
    if (begun && !this.#reader.done) void this.#relayMore();
    else this.#listener.downloadEnded(begun ? "whole" : "client_gone");
  }

  async #relayMore(): Promise<void> {
    const { inlet } = this.#connection;
    if (this.#isLarge()) inlet.widen(this.#context.buffers);
    const end = await this.#relayRest();
    inlet.narrow(this.#context.buffers);
    this.#listener.downloadEnded(end);
  }

  async #relayRest(): Promise<DownloadEnd> {
    const { inlet } = this.#connection;
    while (!this.#reader.done) {
      this.#idle.start(this);
      this.waitsForClient = false;
      await inlet.more();
      if (inlet.unread === 0) {
        if (this.#framing.kind !== "until-close" || inlet.error !== undefined) return "broken";
        return this.#transfer !== "into-chunks" || await this.#client.send(LAST_CHUNK) ? "whole" : "client_gone";
      }
      const pause = this.#context.pace.pause();
      if (pause !== undefined) await pause;
      const part = this.#nextPart();
      if (part === undefined) return "malformed";
      this.#waitForClient();
      if (!await this.#client.send(part, this)) return "client_gone";
    }
    return "whole";
  }

  /** Returns the part of the body that has arrived, as the client gets it; `undefined`: it is malformed. */
  #nextPart(): Uint8Array | undefined {
    const { inlet } = this.#connection;
    const { bytes, start, end } = inlet;
    try {
      if (this.#transfer === "out-of-chunks") return this.#unchunked(bytes, start, end);
      inlet.start = this.#reader.read(bytes, start, end);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.fault = error.message;
      return undefined;
    }
    const part = this.#reader.kept(bytes, inlet.start);
    return this.#transfer === "into-chunks" && part.length > 0 ? chunked(part) : part;
  }

  /** Takes data out of its chunks, in place. This is safe because data only moves to the front. */
  #unchunked(bytes: Uint8Array, start: number, end: number): Uint8Array {
    let to = start;
    this.#connection.inlet.start = this.#reader.read(bytes, start, end, (_, from, until) => {
      bytes.copyWithin(to, from, until);
      to += until - from;
    });
    return bytes.subarray(start, to);
  }

  /** Puts the head before the part of the body that has arrived, so that one write sends both. */
  #inFront(head: string, part: Uint8Array): Uint8Array {
    const { bytes } = this.#connection.inlet;
    const { length } = head;
    const at = part.byteOffset - bytes.byteOffset - length;
    if (part.buffer !== bytes.buffer || at < 0) return Buffer.concat([Buffer.from(head, "latin1"), part]);
    encodeHead(head, bytes.subarray(at, at + length));
    return bytes.subarray(at, at + length + part.length);
  }

  #isLarge(): boolean {
    return this.#framing.kind !== "length" || this.#framing.bytes - this.#reader.dataBytes >= LARGE_BYTES;
  }

  #waitForClient(): void {
    this.#idle.start(this);
    this.waitsForClient = true;
  }
}

function chunked(part: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
}

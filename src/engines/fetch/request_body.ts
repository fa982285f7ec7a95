/** Moves a request's body to a backend, or to the next one if the first could not be reached. */

import { messageOf } from "../../errors.ts";
import type { BodyWatcher } from "../../proxy/exchange.ts";
import type { BodyReader } from "./chunk_reader.ts";
import { ChunksTooSmall } from "./draining_reader.ts";
import { SizedBody } from "./sized_body.ts";

/**
 * Before it has a connection, `fetch` reads until it holds this many bytes, and then one more chunk. Measured on Deno
 * 2.9.6: 67 chunks of 1,000 bytes, 5 of 16 KiB, 2 of 64 KiB or more.
 */
const READ_AHEAD_BYTES = 65_536;

type Bytes = Uint8Array<ArrayBuffer>;

/** The exchange that a body belongs to. */
export interface RequestBodyListener {
  /** Nothing more will arrive: the whole body was read, or the client broke it off. */
  bodyEnded(): void;
}

/**
 * Gives each attempt a stream of the client's body. The first chunks are kept until `fetch` reads more than it does
 * without a connection. Until then, another attempt can start from the beginning. `request.body` itself can't be used
 * twice, and the part that `fetch` read before the connection failed would be lost.
 */
export class RequestBody {
  /** Shown the body; set before it is read. */
  watcher: BodyWatcher | undefined;
  readonly #reader: BodyReader;
  readonly #lengthBytes: number | undefined;
  readonly #listener: RequestBodyListener;
  #maxBytes = Infinity;
  #receivedBytes = 0;
  readonly #kept: Bytes[] = [];
  #keptBytes = 0;
  #replayable = true;
  #ended = false;
  #abandoned = false;
  #failure: unknown;
  /** The stream of the current attempt. The stream of an earlier attempt must take no chunks from it. */
  #current: ReadableStream<Bytes> | undefined;
  /**
   * The running read. Streams share it, because a chunk that an earlier stream requested belongs to the current one.
   */
  #reading: Promise<void> | undefined;

  /** @param lengthBytes the length in the head; `undefined`: there is none */
  constructor(reader: BodyReader, lengthBytes: number | undefined, listener: RequestBodyListener) {
    this.#reader = reader;
    this.#lengthBytes = lengthBytes;
    this.#listener = listener;
  }

  /** Bytes that have arrived so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Whether another attempt can start from the beginning. */
  get replayable(): boolean {
    return this.#replayable;
  }

  /** Whether the client broke the body off. */
  get clientGone(): boolean {
    return this.#failure !== undefined && !this.tooLarge && !this.malformed && !this.flooded;
  }

  /**
   * Whether the client sent malformed chunks. Only the runtime's message tells this from a body that was broken off.
   */
  get malformed(): boolean {
    return messageOf(this.#failure).startsWith("invalid HTTP");
  }

  /** Whether the client sent chunks that are too small for their number. */
  get flooded(): boolean {
    return this.#failure instanceof ChunksTooSmall;
  }

  /** Whether the body is larger than allowed. */
  get tooLarge(): boolean {
    return this.#receivedBytes > this.#maxBytes;
  }

  /**
   * Returns the body for `fetch`, from the beginning. Call it only while `replayable`.
   *
   * @param maxBytes the most bytes that may arrive. With more, the body fails as `tooLarge`
   */
  outgoing(maxBytes: number): ReadableStream<Bytes> | SizedBody {
    this.#maxBytes = maxBytes;
    return this.#lengthBytes === undefined ? this.#stream() : new SizedBody(this.#lengthBytes, () => this.#stream());
  }

  #stream(): ReadableStream<Bytes> {
    let next = 0;
    const stream = new ReadableStream<Bytes>({
      pull: async (controller) => {
        if (stream !== this.#current) return controller.close();
        if (this.#abandoned) throw givenUp();
        if (this.#replayable && next === this.#kept.length && this.#readAheadIsOver()) {
          this.#replayable = false;
          this.#kept.length = 0;
        }
        const position = this.#replayable ? next : 0;
        if (position === this.#kept.length && !this.#ended) await (this.#reading ??= this.#read());
        if (stream !== this.#current) return controller.close();
        if (this.#failure !== undefined) throw this.#failure;
        // If it ended regularly, it would look complete to the backend.
        if (this.#abandoned) throw givenUp();
        const chunk = this.#replayable ? this.#kept[position] : this.#kept.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
        next++;
      },
    }, { highWaterMark: 0 });
    this.#current = stream;
    return stream;
  }

  /** Whether a further chunk can be requested only because earlier ones were sent over a connection. */
  #readAheadIsOver(): boolean {
    return this.#keptBytes - (this.#kept.at(-1)?.length ?? 0) > READ_AHEAD_BYTES;
  }

  /**
   * Gives up the rest of the body, because nobody will read it. Its stream fails, so that it does not look complete.
   */
  abandon(): void {
    this.#abandoned = !this.#ended;
    this.#reader.cancel().catch(() => {}); // the client may have left
  }

  /** Gives no more of the body to `fetch`. Gives up the rest when no read is running. */
  async abandonWhenStill(): Promise<void> {
    this.#abandoned = !this.#ended;
    await this.#reading;
    this.abandon();
  }

  async #read(): Promise<void> {
    try {
      const missingBytes = (this.#lengthBytes ?? Infinity) - this.#receivedBytes;
      const chunk = await this.#reader.read(missingBytes);
      if (chunk !== undefined) this.#keep(chunk);
      else if (this.#lengthBytes !== undefined && missingBytes > 0) throw new Error("the client broke off"); // over HTTP/2
      else {
        if (!this.#abandoned) this.watcher?.bodyCame(new Uint8Array(), true);
        this.#end();
      }
    } catch (error) {
      this.#failure = error;
      this.#end();
    } finally {
      this.#reading = undefined;
    }
  }

  #keep(chunk: Bytes): void {
    this.#receivedBytes += chunk.length;
    if (this.tooLarge) throw new Error("the body is larger than allowed");
    this.#kept.push(chunk);
    this.#keptBytes += chunk.length;
    this.watcher?.bodyCame(chunk, false);
  }

  #end(): void {
    this.#ended = true;
    this.#listener.bodyEnded();
  }
}

function givenUp(): Error {
  return new Error("the upload was given up");
}

/** The client's request body on its way to a backend, or to the next one if the first could not be reached. */

import { messageOf } from "../../errors.ts";
import type { BodyReader } from "./chunk_reader.ts";
import { ChunksTooSmall } from "./draining_reader.ts";
import { SizedBody } from "./sized_body.ts";

/**
 * Before it has a connection, `fetch` reads ahead until it holds this many bytes, and then one chunk more. Measured on
 * Deno 2.9.6: 67 chunks of 1,000 bytes, 5 of 16 KiB, 2 of 64 KiB or more.
 */
const READ_AHEAD_BYTES = 65_536;

type Bytes = Uint8Array<ArrayBuffer>;

/** What happens to a body, told to the exchange it belongs to. */
export interface RequestBodyListener {
  /** All of it has been handed out, or the client broke off: nothing more will arrive. */
  bodyEnded(): void;
}

/**
 * Hands the client's body out as one stream an attempt. The first chunks are kept until more is asked for than
 * `fetch` reads without a connection; until then another attempt can start from the beginning. A plain `req.body`
 * can't be used twice, and what `fetch` had read of it before the connection failed would be lost.
 */
export class RequestBody {
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
  /** Which stream is the current one: an abandoned attempt's must not take chunks from its successor. */
  #current: ReadableStream<Bytes> | undefined;
  /** The read under way, shared: an abandoned stream's chunk belongs to the next one. */
  #reading: Promise<void> | undefined;

  /** @param lengthBytes what its head says; `undefined`: nothing */
  constructor(reader: BodyReader, lengthBytes: number | undefined, listener: RequestBodyListener) {
    this.#reader = reader;
    this.#lengthBytes = lengthBytes;
    this.#listener = listener;
  }

  /** What has come of it; the end is known by then of every body that was not given up. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Whether everything that was handed out can be handed out again. */
  get replayable(): boolean {
    return this.#replayable;
  }

  /** Whether the client broke off in the middle. */
  get clientGone(): boolean {
    return this.#failure !== undefined && !this.tooLarge && !this.malformed && !this.flooded;
  }

  /** Whether the client sent what is no body: bad chunks. The runtime has but a message to tell the two apart. */
  get malformed(): boolean {
    return messageOf(this.#failure).startsWith("invalid HTTP");
  }

  /** Whether the client sent chunks that are too small for their number. */
  get flooded(): boolean {
    return this.#failure instanceof ChunksTooSmall;
  }

  /** Whether more came than is allowed. */
  get tooLarge(): boolean {
    return this.#receivedBytes > this.#maxBytes;
  }

  /**
   * What `fetch` is given, from the beginning. Only while `replayable`.
   *
   * @param maxBytes the most that may arrive; past it the body fails as `tooLarge`
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
        // Ended in order it would look whole to the backend.
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

  /** Whether a further chunk is asked for only because earlier ones have gone over a connection. */
  #readAheadIsOver(): boolean {
    return this.#keptBytes - (this.#kept.at(-1)?.length ?? 0) > READ_AHEAD_BYTES;
  }

  /** Gives up what is still to come: nobody will read it. Whoever gets it sees that it is not whole. */
  abandon(): void {
    this.#abandoned = !this.#ended;
    this.#reader.cancel().catch(() => {}); // the client may have left
  }

  /** Hands nothing more out from now on, and gives up what is still to come once no read is under way. */
  async abandonWhenStill(): Promise<void> {
    this.#abandoned = !this.#ended;
    await this.#reading;
    this.abandon();
  }

  async #read(): Promise<void> {
    try {
      const chunk = await this.#reader.read();
      if (chunk !== undefined) this.#keep(chunk);
      else if (this.#receivedBytes < (this.#lengthBytes ?? 0)) throw new Error("the client broke off"); // over HTTP/2
      else this.#end();
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
  }

  #end(): void {
    this.#ended = true;
    this.#listener.bodyEnded();
  }
}

function givenUp(): Error {
  return new Error("the upload was given up");
}

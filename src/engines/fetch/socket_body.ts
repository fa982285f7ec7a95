/** The body of a response that comes over a connection of ours. */

import { messageOf } from "../../errors.ts";
import { connectionLost, malformedResponse } from "../../failures.ts";
import type { BodyFraming } from "../../http1/body.ts";
import { type BodyReader, bodyReader } from "../../http1/body_reader.ts";
import { MalformedMessage } from "../../http1/malformed.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const NOTHING = new Uint8Array();

const READ_BYTES = 64 * 1024;

/** Longer trailers are malformed. They are not forwarded. */
const MOST_TRAILER_BYTES = 8 * 1024;

export interface SocketBodyOptions {
  readonly link: Pick<Deno.Conn, "read">;
  readonly framing: BodyFraming;
  /** What has arrived of the body. */
  readonly begun: Bytes;
  /** Called when the body has ended, fails or is cancelled, perhaps more than once. Closes the connection. */
  readonly onEnd: () => void;
}

/** Reads the body while somebody takes it. */
export class SocketBody {
  readonly #link: Pick<Deno.Conn, "read">;
  readonly #onEnd: () => void;
  readonly #reader: BodyReader;
  readonly #isUntilClose: boolean;
  /** Bytes that have been read from the connection but not from the body. */
  #unread: Bytes;
  #buffer: Bytes | undefined;

  constructor({ link, framing, begun, onEnd }: SocketBodyOptions) {
    this.#link = link;
    this.#onEnd = onEnd;
    this.#reader = bodyReader(framing, MOST_TRAILER_BYTES);
    this.#isUntilClose = framing.kind === "until-close";
    this.#unread = begun;
  }

  close(): void {
    this.#onEnd();
  }

  /** Reads nothing that nobody waits for. If the body breaks off, the stream fails. */
  stream(): ReadableStream<Bytes> {
    return new ReadableStream<Bytes>({
      pull: async (controller) => {
        try {
          if (await this.#giveMore(controller)) return;
          this.close();
          controller.close();
        } catch (error) {
          this.close();
          throw error instanceof MalformedMessage ? malformedResponse(error.message) : error;
        }
      },
      cancel: () => this.close(),
    }, { highWaterMark: 0 });
  }

  /** Gives what has arrived, or what arrives next. Returns whether the body goes on. */
  async #giveMore(controller: ReadableStreamDefaultController<Bytes>): Promise<boolean> {
    let given = 0;
    while (given === 0 && !this.#reader.done) {
      const bytes = this.#unread.length > 0 ? this.#unread : await this.#read();
      this.#unread = NOTHING;
      if (bytes === undefined) {
        if (this.#isUntilClose) return false;
        throw connectionLost("connection lost: the response broke off");
      }
      this.#reader.read(bytes, 0, bytes.length, (from, start, end) => {
        if (end > start) controller.enqueue(new Uint8Array(from.subarray(start, end))); // a copy: the buffer is used again
        given += end - start;
      });
    }
    return !this.#reader.done;
  }

  /** `undefined`: the connection has ended. */
  async #read(): Promise<Bytes | undefined> {
    this.#buffer ??= new Uint8Array(READ_BYTES);
    const count = await this.#link.read(this.#buffer).catch((error: unknown) => {
      throw connectionLost(`connection lost: ${messageOf(error)}`);
    });
    return count === null ? undefined : this.#buffer.subarray(0, count);
  }
}

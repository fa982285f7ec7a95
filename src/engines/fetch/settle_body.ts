/** Request bodies that may have come over HTTP/2, which the runtime does not tell from HTTP/1.1. */

import type { Pace } from "../../net/pace.ts";
import { bodyReader } from "./body_reader.ts";
import type { BodyReader } from "./chunk_reader.ts";
import type { FetchRequestHead } from "./request_head.ts";

/**
 * Whether a body is looked at before anything else happens. POST over TLS nearly always has one, and what CONNECT and
 * TRACE bring is refused.
 */
function isLookedInto({ method, bodyUnsaid, secure }: FetchRequestHead): boolean {
  return bodyUnsaid && (method !== "POST" || !secure) && method !== "CONNECT" && method !== "TRACE";
}

/**
 * Makes a request's body over TLS what it is over plain HTTP/1.1. Over HTTP/2 no header has to say that there is one,
 * so for most methods this waits for its first byte or its end: else each DELETE or preflight would reach the backend
 * with an empty chunked body, and could not be tried again.
 */
export async function settleBody(head: FetchRequestHead, request: Request, pace: Pace) {
  if (request.body === null) return { head: { ...head, bodyBytes: 0 }, request };
  const whole = new WholeBody(bodyReader(head, request.body, pace), head.bodyBytes, request.signal);
  if (isLookedInto(head) && await whole.isEmpty()) return { head: { ...head, bodyBytes: 0 }, request };
  // Carries the body and the client's signal; the rest is in the head.
  return {
    head,
    request: new Request("http://body/", { method: "POST", body: whole.stream(), signal: request.signal }),
  };
}

/** How many turns of the event loop the client's signal may come behind the body's end. Measured: one. */
const LATE_SIGNAL_TURNS = 2;

/**
 * A body that fails when the client breaks off. Over HTTP/2 the runtime ends it as if it were complete, and fires the
 * client's signal a little later: passed on like that, half an upload would be stored as a whole one.
 */
class WholeBody {
  readonly #reader: BodyReader;
  readonly #bodyBytes: number | undefined;
  readonly #signal: AbortSignal;
  #received = 0;
  #ahead: Promise<Uint8Array<ArrayBuffer> | undefined> | undefined;

  constructor(
    reader: BodyReader,
    bodyBytes: number | undefined,
    signal: AbortSignal,
  ) {
    this.#reader = reader;
    this.#bodyBytes = bodyBytes;
    this.#signal = signal;
  }

  /** Waits for the first byte or the end. */
  async isEmpty(): Promise<boolean> {
    this.#ahead = this.#read();
    return await this.#ahead.catch(() => null) === undefined; // the stream will fail the same way
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const ahead = this.#ahead;
        this.#ahead = undefined;
        const chunk = await (ahead ?? this.#read());
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: (reason) => this.#reader.cancel(reason),
    }, { highWaterMark: 0 });
  }

  /** The next bytes, at least one; `undefined` at the end of the whole body. */
  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (true) {
      const chunk = await this.#reader.read();
      if (chunk === undefined) break;
      this.#received += chunk.length;
      if (chunk.length > 0) return chunk; // an empty one may come first
    }
    for (let turn = 0; this.#bodyBytes === undefined && turn < LATE_SIGNAL_TURNS; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (this.#signal.aborted || (this.#bodyBytes !== undefined && this.#received < this.#bodyBytes)) {
      throw new Error("the client broke off");
    }
    return undefined;
  }
}

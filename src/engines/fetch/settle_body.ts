/** Handles request bodies that may have arrived over HTTP/2. The runtime does not tell HTTP/2 from HTTP/1.1. */

import { bodyReader } from "./body_reader.ts";
import type { BodyReader } from "./chunk_reader.ts";
import type { FetchRequestHead } from "./request_head.ts";
import type { UploadPace } from "./upload_pace.ts";
import { nextTurn } from "../../net/next_turn.ts";

/**
 * Whether to wait for the body's first byte before the request goes on. Not needed for POST over TLS, which nearly
 * always has a body, nor for CONNECT and TRACE, which are refused.
 */
function isLookedInto({ method, bodyUnsaid, secure }: FetchRequestHead): boolean {
  return bodyUnsaid && (method !== "POST" || !secure) && method !== "CONNECT" && method !== "TRACE";
}

/**
 * Gives a request's body over TLS the same form as over HTTP/1.1. Over HTTP/2, a body needs no header. So for most
 * methods, this waits for the first byte or the end. Otherwise each DELETE or preflight request would reach the backend
 * with an empty chunked body, and could not be tried again.
 */
export async function settleBody(head: FetchRequestHead, request: Request, pace: UploadPace) {
  if (request.body === null) return { head: { ...head, bodyBytes: 0 }, request };
  const whole = new WholeBody(bodyReader(head, request.body, pace), head.bodyBytes, request.signal);
  if (isLookedInto(head) && await whole.isEmpty()) return { head: { ...head, bodyBytes: 0 }, request };
  // This request only holds the body and the client's signal. The rest is in the head.
  return {
    head,
    request: new Request("http://body/", { method: "POST", body: whole.stream(), signal: request.signal }),
  };
}

/** How many turns of the event loop after the body's end the client's signal may fire. Measured: one. */
const LATE_SIGNAL_TURNS = 2;

/**
 * A body that fails when the client breaks it off. Over HTTP/2, the runtime ends it as if it were complete, and fires
 * the client's signal a little later. Without this class, a backend could store half an upload as a complete one.
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
    return await this.#ahead.catch(() => null) === undefined; // the stream will fail in the same way
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

  /** The next bytes, at least one; `undefined`: the end of a complete body. */
  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (true) {
      const chunk = await this.#reader.read();
      if (chunk === undefined) break;
      this.#received += chunk.length;
      if (chunk.length > 0) return chunk; // the first chunk may be empty
    }
    for (let turn = 0; this.#bodyBytes === undefined && turn < LATE_SIGNAL_TURNS; turn++) {
      await nextTurn();
    }
    if (this.#signal.aborted || (this.#bodyBytes !== undefined && this.#received < this.#bodyBytes)) {
      throw new Error("the client broke off");
    }
    return undefined;
  }
}

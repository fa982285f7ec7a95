/** A backend's answer in engine `fetch`. It is handed to `Deno.serve`. */

import type { Answer, AttemptListener, Relayed } from "../../proxy/exchange.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import { againstCompression, forCompression } from "./compression.ts";
import { relayBesideUpload } from "./early_response.ts";
import { brokenBody, gather, type Gathered, MOST_GATHERED_BYTES } from "./gather.ts";
import { gzip, packingOf } from "./own_compression.ts";
import type { LargeAnswers } from "./large_answers.ts";
import type { FetchRequestHead } from "./request_head.ts";
import type { RequestBody } from "./request_body.ts";
import type { FetchResponseHead } from "./response_head.ts";

/** The runtime pipes bodies outside JavaScript. It reports neither their size nor how they end. */
export const UNSEEN: Relayed = { bytesOut: null, failure: undefined };

/**
 * How long to wait for the whole body of an answer that begins before the upload has ended. After that, the rest is
 * streamed.
 */
const EARLY_PATIENCE_MS = 100;

/**
 * The same for a connection that may be HTTP/1.0 with keep-alive. If the body takes longer, the connection closes after
 * it.
 */
const HTTP10_PATIENCE_MS = 100;

/** The same over TLS. Only a body that was sent together with its head arrives in time. */
const TLS_PATIENCE_MS = 10;

type Bytes = Uint8Array<ArrayBuffer>;

/** The exchange that an answer belongs to. */
export interface AnswerOwner {
  readonly request: FetchRequestHead;
  /** Whether the runtime compresses responses. */
  readonly runtimeCompresses: boolean;
  /** Whether this one is to be compressed. */
  readonly compresses: boolean;
  readonly largeAnswers: LargeAnswers;
  /** The request's body while it is still arriving. */
  readonly upload: RequestBody | undefined;
  /** Fires when the request has taken too long; `undefined`: there is no limit for it. */
  readonly cutSignal: AbortSignal | undefined;
  /** Answers the client. Settles when the exchange has ended; never rejects. */
  respond(response: Response): Promise<void>;
}

/** Hands the body to `Deno.serve` unchanged if possible, so that it is piped outside JavaScript. */
export class FetchAnswer implements Answer {
  readonly #body: ReadableStream<Bytes> | null;
  readonly #head: FetchResponseHead;
  readonly #owner: AnswerOwner;
  /** The body, if it arrived before the end of the upload, or should be sent in one piece. */
  #gathered: Gathered | undefined;

  constructor(body: ReadableStream<Bytes> | null, head: FetchResponseHead, owner: AnswerOwner) {
    this.#body = body;
    this.#head = head;
    this.#owner = owner;
  }

  get status(): number {
    return this.#head.status;
  }

  get headers(): readonly HeaderPair[] {
    return this.#head.headers;
  }

  /** Waits a moment for a whole body that arrives before the end of the upload. Rejects if the body fails. */
  async gatherEarly(): Promise<void> {
    if (this.#body !== null) this.#gathered = await gather(this.#body, EARLY_PATIENCE_MS);
  }

  relay(headers: HeaderPair[], listener: AttemptListener): void {
    const { mayBeKeptHttp10, secure } = this.#owner.request;
    if (!mayBeKeptHttp10 && !secure) return this.#relayInTurn(headers, listener); // the usual case
    this.#gatherWhole().then(() => this.#relayInTurn(headers, listener), (error) => listener.failed(error));
  }

  #relayInTurn(headers: HeaderPair[], listener: AttemptListener): void {
    const turn = this.#owner.largeAnswers.turnFor(this.#bodyBytes);
    if (turn === undefined) this.#relayNow(headers, listener);
    else void turn.then(() => this.#relayNow(headers, listener));
  }

  #relayNow(headers: HeaderPair[], listener: AttemptListener): void {
    let ended: Promise<void>;
    try {
      const said = this.#compressed(headers);
      ended = this.#owner.respond(new Response(this.#bodyFor(said), { status: statusFor(this.status), headers: said }));
    } catch (error) {
      return listener.failed(error);
    }
    void ended.then(() => listener.relayed(UNSEEN));
  }

  discard(): void {
    const body = this.#gathered ?? this.#body;
    if (body instanceof ReadableStream) body.cancel().catch(() => {}); // it may have failed; nobody reads it
  }

  /** Returns the headers for the client. Compresses the body, if it is for us to do. */
  #compressed(headers: HeaderPair[]): HeaderPair[] {
    const { request, runtimeCompresses, compresses } = this.#owner;
    if (runtimeCompresses) {
      return compresses ? forCompression(request, this.status, headers) : againstCompression(request, headers);
    }
    if (!compresses) return headers; // the usual case
    const packing = packingOf(request, this.status, headers);
    const body = this.#gathered ?? this.#body;
    if (packing.packs && body !== null) this.#gathered = gzip(body);
    return packing.headers;
  }

  /** The length of the body that the runtime is going to move; `undefined`: unknown. */
  get #bodyBytes(): number | undefined {
    return this.#body === null || this.#gathered instanceof Uint8Array ? 0 : this.#head.bodyBytes;
  }

  #bodyFor(said: readonly HeaderPair[]): Gathered | null {
    if (this.#gathered instanceof Uint8Array) return this.#gathered;
    const { request, upload } = this.#owner;
    // Without a body, the runtime would add `Content-Length: 0`. The answer to a GET may have another length.
    const lengthUnknown = request.method === "HEAD" && !said.some(([name]) => name === "content-length");
    if (lengthUnknown && !isBodyless(this.status)) return new Blob([]).stream();
    const body = this.#limited(this.#gathered ?? this.#body);
    return upload !== undefined && body !== null ? relayBesideUpload(body, upload) : body;
  }

  /**
   * Waits for a body that should be sent in one piece. There are two reasons for that.
   *
   * `Deno.serve` tells HTTP/1.0 clients that it keeps the connection, but closes it after a body that is a stream. That
   * breaks their next request (`ab -k` counted thousands of errors). After a body in one piece, it keeps the
   * connection.
   *
   * Over TLS, the runtime leaves Nagle's algorithm on (RFC 9293 §3.7.4). A short body in a second packet would wait
   * until the client acknowledges the first, which clients delay for 40 ms.
   */
  async #gatherWhole(): Promise<void> {
    const { mayBeKeptHttp10, secure } = this.#owner.request;
    if (this.#body === null || this.#gathered !== undefined) return;
    if (mayBeKeptHttp10 && this.#isShort(Infinity)) {
      this.#gathered = await gatherNow(this.#body, HTTP10_PATIENCE_MS);
    } else if (secure && this.#isShort(0)) this.#gathered = await gatherNow(this.#body, TLS_PATIENCE_MS);
  }

  /** @param unsaid the length that is assumed if no header gives it */
  #isShort(unsaid: number): boolean {
    return (this.#head.bodyBytes ?? unsaid) <= MOST_GATHERED_BYTES;
  }

  /**
   * Wraps a body if there is a limit for the whole request. Once handed over, an unwrapped body can't be cut any more.
   */
  #limited(body: ReadableStream<Bytes> | null): ReadableStream<Bytes> | null {
    const signal = this.#owner.cutSignal;
    return signal === undefined || body === null ? body : body.pipeThrough(new TransformStream(), { signal });
  }
}

/** Gathers a body. If it breaks off, it also breaks off at the client. */
function gatherNow(body: ReadableStream<Bytes>, patienceMs: number): Promise<Gathered> {
  return gather(body, patienceMs).catch(brokenBody);
}

/**
 * Whether the status alone means that there is no body. With it, the runtime accepts no body, not even an empty one.
 */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/**
 * The runtime sends a 205 without framing, so that only closing the connection would end it. 204 tells a client the
 * same.
 */
export function statusFor(status: number): number {
  return status === 205 ? 204 : status;
}

/** A backend's answer under engine `fetch`, on its way to `Deno.serve`. */

import type { Answer, Relayed } from "../../proxy/exchange.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import { forCompression } from "./compression.ts";
import { relayBesideUpload } from "./early_response.ts";
import { brokenBody, gather, type Gathered, MOST_GATHERED_BYTES } from "./gather.ts";
import type { FetchRequestHead } from "./request_head.ts";
import type { RequestBody } from "./request_body.ts";

/** The runtime pipes bodies outside JavaScript, and tells neither their size nor how they end. */
export const UNSEEN: Relayed = { bytesOut: null, failure: undefined };

/** How long an answer is waited for that came before the end of the upload, before the rest of it is streamed. */
const EARLY_PATIENCE_MS = 100;

/** The same for what may be a kept HTTP/1.0 connection, which ends with a body that takes longer. */
const HTTP10_PATIENCE_MS = 100;

/** The same over TLS: what was not sent together with its head is not waited for. */
const TLS_PATIENCE_MS = 10;

type Bytes = Uint8Array<ArrayBuffer>;

/** The exchange that an answer is for. */
export interface AnswerOwner {
  readonly request: FetchRequestHead;
  /** Whether the runtime compresses responses. */
  readonly compresses: boolean;
  /** The request's body while it is still arriving. */
  readonly upload: RequestBody | undefined;
  /** Fires when the request has taken too long; `undefined`: there is no such limit. */
  readonly cutSignal: AbortSignal | undefined;
  /** Answers the client. Settles when the exchange has ended; never rejects. */
  respond(response: Response): Promise<void>;
}

/** Hands the body to `Deno.serve` untouched wherever it can, so that it is piped outside JavaScript. */
export class FetchAnswer implements Answer {
  readonly #response: Response;
  readonly #owner: AnswerOwner;
  /** The body, where it came before the end of the upload, or where it should go in one piece. */
  #gathered: Gathered | undefined;

  constructor(response: Response, owner: AnswerOwner) {
    this.#response = response;
    this.#owner = owner;
  }

  get status(): number {
    return this.#response.status;
  }

  get headers(): Headers {
    return this.#response.headers;
  }

  /** Waits a moment for the whole of a body that comes before the end of the upload. Rejects as the body does. */
  async gatherEarly(): Promise<void> {
    const { body } = this.#response;
    if (body !== null) this.#gathered = await gather(body, EARLY_PATIENCE_MS);
  }

  async relay(headers: HeaderPair[]): Promise<Relayed> {
    const { request, compresses } = this.#owner;
    const { status } = this.#response;
    if (request.mayBeKeptHttp10 || request.secure) this.#gathered ??= await this.#gatherWhole();
    const said = compresses ? forCompression(request, status, headers) : headers;
    await this.#owner.respond(new Response(this.#bodyFor(said), { status: statusFor(status), headers: said }));
    return UNSEEN;
  }

  discard(): void {
    const body = this.#gathered ?? this.#response.body;
    if (body instanceof ReadableStream) body.cancel().catch(() => {}); // it may have failed already: nobody will read it
  }

  #bodyFor(said: readonly HeaderPair[]): Gathered | null {
    if (this.#gathered instanceof Uint8Array) return this.#gathered;
    const { request, upload } = this.#owner;
    // Without a body the runtime would add a length of 0, which the answer to a GET need not have.
    const lengthUnknown = request.method === "HEAD" && !said.some(([name]) => name === "content-length");
    if (lengthUnknown && !isBodyless(this.status)) return new Blob([]).stream();
    const body = this.#limited(this.#gathered ?? this.#response.body);
    return upload !== undefined && body !== null ? relayBesideUpload(body, upload) : body;
  }

  /**
   * The bodies that should go in one piece.
   *
   * `Deno.serve` promises HTTP/1.0 clients to keep the connection and closes it after a body that is a stream, which
   * breaks their next request (`ab -k` counted thousands of errors). After a body in one piece it keeps its word.
   *
   * Over TLS the runtime leaves Nagle's algorithm on (RFC 9293 §3.7.4): a short body behind its head in a second packet
   * would wait until the client acknowledges the first, which clients put off for 40 ms.
   */
  async #gatherWhole(): Promise<Gathered | undefined> {
    const { mayBeKeptHttp10, secure } = this.#owner.request;
    if (mayBeKeptHttp10 && isShort(this.#response, Infinity)) {
      return await gatherNow(this.#response, HTTP10_PATIENCE_MS);
    }
    if (secure && isShort(this.#response, 0)) return await gatherNow(this.#response, TLS_PATIENCE_MS);
    return undefined;
  }

  /** A body that was handed over can't be cut any more, so only with a limit on the whole is it wrapped. */
  #limited(body: ReadableStream<Bytes> | null): ReadableStream<Bytes> | null {
    const signal = this.#owner.cutSignal;
    return signal === undefined || body === null ? body : body.pipeThrough(new TransformStream(), { signal });
  }
}

/** @param unsaid the length that a body has of which no header tells */
function isShort({ body, headers }: Response, unsaid: number): boolean {
  return body !== null && Number(headers.get("content-length") ?? unsaid) <= MOST_GATHERED_BYTES;
}

/** One that breaks off breaks off at the client. */
async function gatherNow({ body }: Response, patienceMs: number): Promise<Gathered | undefined> {
  return body === null ? undefined : await gather(body, patienceMs).catch(brokenBody);
}

/** Whether its status alone says that there is no body: the runtime takes none with it, not an empty one either. */
function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The runtime sends a 205 without any framing, so that its end is the connection's; 204 says the same to a client. */
function statusFor(status: number): number {
  return status === 205 ? 204 : status;
}

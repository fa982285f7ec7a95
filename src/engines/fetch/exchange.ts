/** One client request of the `fetch` engine: `Deno.serve` in front, `fetch` behind. */

import { ProxyError } from "../../errors.ts";
import type { Pace } from "../../net/pace.ts";
import type { Backend } from "../../pool/backend.ts";
import type { Exchange, Relayed } from "../../proxy/exchange.ts";
import { bodyTooLarge, clientGone } from "../../proxy/failures.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import type { Problem } from "../../proxy/problem.ts";
import type { BackendClients } from "./backend_clients.ts";
import { bodyReader } from "./body_reader.ts";
import type { Bridge } from "./bridge.ts";
import { checkResponse } from "./check_response.ts";
import { forCompression } from "./compression.ts";
import type { Deadline, DeadlineListener, Moment } from "./deadline.ts";
import { relayBesideUpload } from "./early_response.ts";
import { fromFetchError, type UploadState } from "./fetch_error.ts";
import { brokenBody, gather, type Gathered, MOST_GATHERED_BYTES } from "./gather.ts";
import { outgoingHeaders } from "./outgoing_headers.ts";
import { isReachable } from "./reachable.ts";
import type { FetchRequestHead } from "./request_head.ts";
import { RequestBody, type RequestBodyListener } from "./request_body.ts";
import { urlFor } from "./target_url.ts";

/** What the configuration limits; a reload replaces it. */
export interface FetchLimits {
  responseDeadline: Deadline;
  connectDeadline: Deadline;
  /** `undefined`: no limit for a request as a whole. */
  requestDeadline: Deadline | undefined;
  /** `Infinity`: no limit. */
  maxBodyBytes: number;
}

/** What the exchanges of one engine share. */
export interface FetchContext extends FetchLimits {
  readonly clients: BackendClients;
  /** Of all uploads. */
  readonly pace: Pace;
  /** Whether the runtime compresses responses. */
  readonly compresses: boolean;
  /** The WebSockets that are open. */
  readonly bridges: Set<Bridge>;
  /** Whether the proxy is shutting down: new requests are refused. */
  stopping: boolean;
  /** Request bodies still arriving. */
  uploads: number;
}

/** Why an attempt was aborted, if it was. */
type Abort = "client_gone" | "response_timeout" | "connect_timeout" | "request_timeout";

/** Methods that `fetch` may resend by itself without harm. */
const RESENDABLE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Runs one request. The response of `fetch` goes to `Deno.serve` with its body untouched, so that it is piped outside
 * JavaScript; the end of the exchange is `info.completed`.
 *
 * Listens itself to the client's signal (`handleEvent`), which takes no closure.
 */
export class FetchExchange implements Exchange<Response>, RequestBodyListener, DeadlineListener, EventListenerObject {
  readonly request: FetchRequestHead;
  readonly refusal: ProxyError | undefined;
  readonly informed = false; // `fetch` drops them
  readonly #context: FetchContext;
  readonly #body: RequestBody | undefined;
  readonly #respond: (response: Response) => void;
  readonly #clientSignal: AbortSignal;
  readonly #completed: Promise<void>;
  #backend: Backend | undefined;
  #attempt: AbortController | undefined;
  #abort: Abort | undefined;
  #responseLimit: Moment | undefined;
  #connectLimit: Moment | undefined;
  readonly #requestLimit: Moment | undefined;
  #uploading = false;
  /** The body of a response that came before the end of the upload, or that should go in one piece. */
  #gathered: Gathered | undefined;

  /** @param respond settles the handler that `Deno.serve` waits for */
  constructor(
    head: FetchRequestHead,
    request: Request,
    completed: Promise<void>,
    context: FetchContext,
    respond: (response: Response) => void,
  ) {
    this.request = head;
    this.refusal = context.stopping ? refuse("stopping", "The proxy is shutting down.") : refusalOf(this.request);
    this.#context = context;
    this.#respond = respond;
    this.#clientSignal = request.signal;
    this.#completed = completed;
    if (head.bodyBytes !== 0 && request.body !== null && this.refusal === undefined) {
      const limits = { lengthBytes: head.bodyBytes, maxBytes: context.maxBodyBytes };
      this.#body = new RequestBody(bodyReader(head, request.body, context.pace), limits, this);
      context.uploads++;
      this.#uploading = true;
    }
    this.#clientSignal.addEventListener("abort", this);
    this.#requestLimit = context.requestDeadline?.start(this);
  }

  get bytesIn(): number {
    return this.#body?.receivedBytes ?? 0;
  }

  get bodyReplayable(): boolean {
    return this.#body?.replayable ?? true;
  }

  async attempt(backend: Backend, headers: HeaderPair[]): Promise<Response> {
    if (this.brokenOff !== undefined) throw this.brokenOff;
    const { clients } = this.#context;
    const { method, target } = this.request;
    const reuse = this.#body !== undefined || RESENDABLE.has(method);
    this.#backend = backend;
    this.#abort = undefined;
    this.#attempt = new AbortController();
    this.#watchLimits();
    try {
      const response = await fetch(urlFor(backend, target), {
        method,
        headers: outgoingHeaders(headers, this.request.tracedByRuntime),
        body: this.#body?.outgoing() ?? null,
        redirect: "manual",
        signal: this.#attempt.signal,
        client: reuse ? clients.pooled(backend) : clients.fresh(backend),
      });
      checkResponse(response);
      if (this.#uploading && response.body !== null) this.#gathered = await gather(response.body, EARLY_PATIENCE_MS);
      return response;
    } catch (error) {
      throw this.#explain(error);
    } finally {
      this.#unwatchLimits();
    }
  }

  async relay(response: Response, headers: HeaderPair[]): Promise<Relayed> {
    if (this.request.mayBeKeptHttp10 || this.request.secure) this.#gathered ??= await this.#gatherWhole(response);
    const said = this.#context.compresses ? forCompression(this.request, response.status, headers) : headers;
    this.#respond(new Response(this.#bodyFor(response, said), { status: statusFor(response), headers: said }));
    await this.#untilCompleted();
    return UNSEEN;
  }

  #bodyFor(response: Response, said: readonly HeaderPair[]): Gathered | null {
    if (this.#gathered instanceof Uint8Array) return this.#gathered;
    // Without a body the runtime would add a length of 0, which the answer to a GET need not have.
    const lengthUnknown = this.request.method === "HEAD" && !said.some(([name]) => name === "content-length");
    if (lengthUnknown && !isBodyless(response)) return new Blob([]).stream();
    const body = this.#limited(this.#gathered ?? response.body);
    return this.#uploading && this.#body !== undefined && body !== null ? relayBesideUpload(body, this.#body) : body;
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
  async #gatherWhole(response: Response): Promise<Gathered | undefined> {
    const { mayBeKeptHttp10, secure } = this.request;
    if (mayBeKeptHttp10 && isShort(response, Infinity)) return await gatherNow(response, HTTP10_PATIENCE_MS);
    if (secure && isShort(response, 0)) return await gatherNow(response, TLS_PATIENCE_MS);
    return undefined;
  }

  /** A body that was handed over can't be cut any more, so only with a limit on the whole is it wrapped. */
  #limited(body: ReadableStream<Uint8Array<ArrayBuffer>> | null): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#requestLimit === undefined || body === null) return body;
    return body.pipeThrough(new TransformStream(), { signal: this.#requestLimit.signal });
  }

  discard(response: Response): void {
    const body = this.#gathered ?? response.body;
    if (body instanceof ReadableStream) body.cancel().catch(() => {}); // it may have failed already: nobody will read it
  }

  answer(problem: Problem): Promise<void> {
    if (this.#body?.flooded === true) return this.#cut(problem.status);
    const body = this.request.method === "HEAD" ? null : problem.body;
    this.#respond(new Response(body, { status: problem.status, headers: [...problem.headers] }));
    return this.#untilCompleted();
  }

  /** Ends the connection: behind an answer that is whole the runtime would go through all that it holds of the body. */
  #cut(status: number): Promise<void> {
    this.#respond(new Response(brokenBody("the upload was given up"), { status }));
    return this.#untilCompleted();
  }

  /** The client left. */
  handleEvent(): void {
    this.#abortAttempt("client_gone");
  }

  limitPassed(moment: Moment): void {
    if (moment === this.#connectLimit) void this.#checkConnection();
    else this.#abortAttempt(moment === this.#requestLimit ? "request_timeout" : "response_timeout");
  }

  /** The clock for the response starts at the request's last byte. */
  bodyEnded(): void {
    this.#uploadEnded();
    if (this.#attempt !== undefined) this.#responseLimit = this.#context.responseDeadline.start(this);
  }

  get brokenOff(): ProxyError | undefined {
    if (this.#clientGone) return clientGone();
    return this.#requestLimit?.passed === true ? requestTimeout() : undefined;
  }

  get #clientGone(): boolean {
    return this.#clientSignal.aborted || this.#body?.clientGone === true;
  }

  /** `info.completed` rejects over HTTP/2 when the client leaves: an end like any other. */
  #untilCompleted(): Promise<void> {
    const ended = () => {
      this.#uploadEnded();
      this.#body?.abandon();
      this.#requestLimit?.leave(this);
    };
    return this.#completed.then(ended, ended);
  }

  #uploadEnded(): void {
    if (!this.#uploading) return;
    this.#uploading = false;
    this.#context.uploads--;
  }

  #watchLimits(): void {
    this.#connectLimit = this.#context.connectDeadline.start(this);
    if (!this.#uploading) this.#responseLimit = this.#context.responseDeadline.start(this);
  }

  #unwatchLimits(): void {
    this.#attempt = undefined;
    this.#connectLimit?.leave(this);
    this.#responseLimit?.leave(this);
    this.#connectLimit = undefined;
    this.#responseLimit = undefined;
  }

  /**
   * `fetch` does not say when it has connected. No head within the connect limit: dial once, and only if that fails
   * within the same limit too is the backend out of reach. The request may have been sent all the same.
   */
  async #checkConnection(): Promise<void> {
    const attempt = this.#attempt;
    if (this.#backend === undefined || !this.bodyReplayable) return; // what was read of the body went over a connection
    const reachable = await isReachable(this.#backend, this.#context.connectDeadline.limitMs);
    if (!reachable && attempt !== undefined && attempt === this.#attempt) this.#abortAttempt("connect_timeout");
  }

  #abortAttempt(why: Abort): void {
    this.#abort ??= why;
    this.#attempt?.abort();
  }

  get #uploadState(): UploadState {
    if (this.#body === undefined) return "none";
    return this.#uploading ? "under way" : "handed out";
  }

  /** A client that left is looked for first: it makes `fetch` fail in ways that look like the backend's. */
  #explain(error: unknown): ProxyError {
    if (this.#clientGone) return clientGone();
    if (this.#body?.malformed) return refuse("bad_request", "The request body is malformed.");
    if (this.#body?.flooded) return refuse("bad_request", "The chunks of the request body are too small.");
    if (this.#body?.tooLarge) return bodyTooLarge(this.#context.maxBodyBytes);
    if (error instanceof ProxyError) return error;
    const failure = { side: "backend", requestSent: true } as const;
    switch (this.#abort) {
      case "connect_timeout":
        return new ProxyError("timed out", { code: "connect_failed", ...failure });
      case "request_timeout":
        return requestTimeout();
      case "response_timeout":
        return new ProxyError("no response in time", { code: "response_timeout", ...failure });
      default:
        return fromFetchError(error, this.#uploadState);
    }
  }
}

/** The runtime pipes bodies outside JavaScript, and tells neither their size nor how they end. */
export const UNSEEN: Relayed = { bytesOut: null, failure: undefined };

/** How long an answer is waited for that came before the end of the upload, before the rest of it is streamed. */
const EARLY_PATIENCE_MS = 100;

/** The same for what may be a kept HTTP/1.0 connection, which ends with a body that takes longer. */
const HTTP10_PATIENCE_MS = 100;

/** The same over TLS: what was not sent together with its head is not waited for. */
const TLS_PATIENCE_MS = 10;

/** @param unsaid the length that a body has of which no header tells */
function isShort({ body, headers }: Response, unsaid: number): boolean {
  return body !== null && Number(headers.get("content-length") ?? unsaid) <= MOST_GATHERED_BYTES;
}

/** One that breaks off breaks off at the client. */
async function gatherNow({ body }: Response, patienceMs: number): Promise<Gathered | undefined> {
  return body === null ? undefined : await gather(body, patienceMs).catch(brokenBody);
}

/** Whether its status alone says that there is no body: the runtime takes none with it, not an empty one either. */
function isBodyless({ status }: Response): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** The runtime sends a 205 without any framing, so that its end is the connection's; 204 says the same to a client. */
function statusFor({ status }: Response): number {
  return status === 205 ? 204 : status;
}

/** Methods at which `fetch` throws, in any case; the first two are refused for all engines as they are spelled here. */
const UNFETCHABLE: ReadonlySet<string> = new Set(["CONNECT", "TRACE", "TRACK"]);

/** What `fetch` can't carry. */
export function refusalOf(request: FetchRequestHead): ProxyError | undefined {
  if (request.malformed !== undefined) return refuse("bad_request", request.malformed);
  if (Number.isNaN(request.bodyBytes)) return refuse("bad_request", "More than one Content-Length.");
  if (request.hasForeignCoding) return refuse("not_implemented", "Only the transfer coding chunked is supported.");
  const method = request.method.toUpperCase();
  if (UNFETCHABLE.has(method) && (request.method !== method || method === "TRACK")) {
    return refuse("not_implemented", `${request.method} is not supported.`);
  }
  if (request.bodyBytes !== 0 && (request.method === "GET" || request.method === "HEAD")) {
    return refuse("not_implemented", `${request.method} with a body is not supported.`);
  }
  return undefined;
}

/** What is refused before a backend is chosen. */
export function refuse(code: "stopping" | "not_implemented" | "bad_request", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

function requestTimeout(): ProxyError {
  return new ProxyError("timeouts.request has passed", { code: "request_timeout", side: "proxy", requestSent: true });
}

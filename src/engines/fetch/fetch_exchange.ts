/** One exchange of engine `fetch`: `Deno.serve` receives the request, and `fetch` sends it to a backend. */

import { ProxyError } from "../../errors.ts";
import type { Backend } from "../../pool/backend.ts";
import type {
  AttemptListener,
  BodyWatcher,
  CopyListener,
  Exchange,
  Limits,
  OwnAnswer,
  RequestCopies,
  RequestCopy,
  SentRequest,
} from "../../proxy/exchange.ts";
import {
  bodyMalformed,
  bodyTooLarge,
  clientGone,
  connectTimeout,
  refused,
  requestTimeout,
  responseTimeout,
} from "../../failures.ts";
import { askBackend } from "./ask_backend.ts";
import { type AnswerOwner, FetchAnswer } from "./answer.ts";
import { bodyReader } from "./body_reader.ts";
import { FetchCopy } from "./copy.ts";
import type { FetchContext } from "./context.ts";
import type { DeadlineListener, Moment, RequestDeadlines } from "./deadline.ts";
import { fromFetchError, type UploadState } from "./fetch_error.ts";
import { ownResponse } from "./own_response.ts";
import { brokenBody, CUT_ON_PURPOSE } from "./gather.ts";
import { isReachable } from "./reachable.ts";
import type { LargeAnswers } from "./large_answers.ts";
import type { FetchRequestHead } from "./request_head.ts";
import { RequestBody, type RequestBodyListener } from "./request_body.ts";
import { readResponseHead } from "./response_head.ts";

/** Why an attempt was aborted. */
type Abort = "client_gone" | "response_timeout" | "connect_timeout" | "request_timeout";

type Listeners = RequestBodyListener & DeadlineListener & EventListenerObject;

/**
 * Runs one request. The exchange ends when `info.completed` settles.
 *
 * Listens itself to the client's signal (`handleEvent`), which needs no closure.
 */
export class FetchExchange implements Exchange, AnswerOwner, RequestCopies, Listeners {
  readonly request: FetchRequestHead;
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
  #requestLimit: Moment | undefined;
  // `keepTo` is called before everything that reads these three.
  #deadlines!: RequestDeadlines;
  #maxBodyBytes = 0;
  compresses = false;
  #uploading = false;
  #onBreakOff: (() => void) | undefined;
  /** Why `fetch` can't send the request; `undefined`: it can. */
  readonly #refusal: ProxyError | undefined;

  /** @param respond settles the promise that `Deno.serve` waits for */
  constructor(
    head: FetchRequestHead,
    request: Request,
    completed: Promise<void>,
    context: FetchContext,
    respond: (response: Response) => void,
  ) {
    this.request = head;
    this.#refusal = refusalOf(head);
    this.#context = context;
    this.#respond = respond;
    this.#clientSignal = request.signal;
    this.#completed = completed;
    if (head.bodyBytes !== 0 && request.body !== null && !context.forwarder.stopping && this.#refusal === undefined) {
      this.#body = new RequestBody(bodyReader(head, request.body, context.pace), head.bodyBytes, this);
      context.uploads.begin();
      this.#uploading = true;
    }
    this.#clientSignal.addEventListener("abort", this);
  }

  keepTo({ timeouts, maxBodyBytes, compresses }: Limits): void {
    this.compresses = compresses;
    this.#deadlines = this.#context.deadlines.for(timeouts);
    this.#maxBodyBytes = maxBodyBytes;
    this.#requestLimit = this.#deadlines.request?.start(this);
  }

  get bytesIn(): number {
    return this.#body?.receivedBytes ?? 0;
  }

  get replayable(): boolean {
    return this.#body?.replayable ?? true;
  }

  get copies(): RequestCopies {
    return this;
  }

  watchBody(watcher: BodyWatcher): void {
    if (this.#body === undefined) watcher.bodyCame(new Uint8Array(), true); // the runtime knows of none
    else this.#body.watcher = watcher;
  }

  sendCopy(copy: RequestCopy, listener: CopyListener): void {
    void new FetchCopy(this.request, copy, this.#context, listener).run();
  }

  get runtimeCompresses(): boolean {
    return this.#context.runtimeCompresses;
  }

  get largeAnswers(): LargeAnswers {
    return this.#context.largeAnswers;
  }

  get upload(): RequestBody | undefined {
    return this.#uploading ? this.#body : undefined;
  }

  get cutSignal(): AbortSignal | undefined {
    return this.#requestLimit?.signal;
  }

  onBreakOff(listener: () => void): void {
    this.#onBreakOff = listener;
  }

  attempt(sent: SentRequest, listener: AttemptListener): void {
    this.#onBreakOff = undefined;
    this.#ask(sent).then((response) => this.#received(response, listener), (error) => this.#lost(error, listener));
  }

  /** Not an asynchronous function, because each promise on the way of a request costs more than the pick of a backend. */
  #ask({ backend, target, headers }: SentRequest): Promise<Response> {
    const { brokenOff } = this;
    if (brokenOff !== undefined) return Promise.reject(brokenOff);
    const { method, tracedByRuntime } = this.request;
    this.#backend = backend;
    this.#abort = undefined;
    this.#attempt = new AbortController();
    this.#watchLimits();
    try {
      return askBackend(backend, {
        method,
        target,
        headers,
        tracedByRuntime,
        body: this.#body?.outgoing(this.#maxBodyBytes) ?? null,
        signal: this.#attempt.signal,
      }, this.#context.clients);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #received(response: Response, listener: AttemptListener): void {
    let answer: FetchAnswer;
    try {
      answer = new FetchAnswer(response.body, readResponseHead(response), this);
    } catch (error) {
      return this.#lost(error, listener);
    }
    if (!this.#uploading) return this.#answered(answer, listener); // the usual case
    answer.gatherEarly().then(() => this.#answered(answer, listener), (error) => this.#lost(error, listener));
  }

  #answered(answer: FetchAnswer, listener: AttemptListener): void {
    this.#unwatchLimits();
    listener.answered(answer);
  }

  #lost(error: unknown, listener: AttemptListener): void {
    const why = this.#explain(error);
    this.#unwatchLimits();
    listener.failed(why);
  }

  answer(answer: OwnAnswer): Promise<void> {
    this.#onBreakOff = undefined;
    if (this.#body?.flooded === true) return this.#cut(answer.status);
    return this.respond(ownResponse(answer, this.request.method));
  }

  /**
   * Answers with a body that breaks off, which ends the connection. After a complete answer, the runtime would process
   * all that it holds of the request's body.
   */
  #cut(status: number): Promise<void> {
    return this.respond(new Response(brokenBody(CUT_ON_PURPOSE), { status }));
  }

  /** The client left. */
  handleEvent(): void {
    this.#abortAttempt("client_gone");
  }

  limitPassed(moment: Moment): void {
    if (moment === this.#connectLimit) void this.#checkConnection();
    else this.#abortAttempt(moment === this.#requestLimit ? "request_timeout" : "response_timeout");
  }

  /** Starts the time limit for the response, because the last byte of the request was sent. */
  bodyEnded(): void {
    this.#uploadEnded();
    if (this.#attempt !== undefined) this.#responseLimit = this.#deadlines.response.start(this);
  }

  get brokenOff(): ProxyError | undefined {
    if (this.#clientGone) return clientGone();
    return this.#requestLimit?.passed === true ? requestTimeout() : this.#refusal;
  }

  get #clientGone(): boolean {
    return this.#clientSignal.aborted || this.#body?.clientGone === true;
  }

  respond(response: Response): Promise<void> {
    this.#respond(response);
    const ended = () => {
      this.#uploadEnded();
      this.#body?.abandon();
      this.#requestLimit?.leave(this);
    };
    return this.#completed.then(ended, ended); // over HTTP/2 it rejects when the client leaves
  }

  #uploadEnded(): void {
    if (!this.#uploading) return;
    this.#uploading = false;
    this.#context.uploads.end();
  }

  #watchLimits(): void {
    this.#connectLimit = this.#deadlines.connect.start(this);
    if (!this.#uploading) this.#responseLimit = this.#deadlines.response.start(this);
  }

  #unwatchLimits(): void {
    this.#attempt = undefined;
    this.#connectLimit?.leave(this);
    this.#responseLimit?.leave(this);
    this.#connectLimit = undefined;
    this.#responseLimit = undefined;
  }

  /**
   * `fetch` does not tell when it has connected. If there is no head within the connect limit, this dials once. Only if
   * that fails within the same limit, too, the backend counts as unreachable. The request may have been sent
   * nevertheless.
   */
  async #checkConnection(): Promise<void> {
    const attempt = this.#attempt;
    if (this.#backend === undefined || !this.replayable) return; // the body was read over a connection
    const reachable = await isReachable(this.#backend, this.#deadlines.connect.limitMs);
    if (!reachable && attempt !== undefined && attempt === this.#attempt) this.#abortAttempt("connect_timeout");
  }

  #abortAttempt(why: Abort): void {
    this.#abort ??= why;
    this.#onBreakOff?.();
    this.#onBreakOff = undefined;
    this.#attempt?.abort();
  }

  get #uploadState(): UploadState {
    if (this.#body === undefined) return "none";
    return this.#uploading ? "under way" : "handed out";
  }

  /**
   * Returns the error for a failed attempt. Checks first whether the client left, because `fetch` then fails as if the
   * backend had failed.
   */
  #explain(error: unknown): ProxyError {
    if (this.#clientGone) return clientGone();
    if (this.#body?.malformed) return bodyMalformed();
    if (this.#body?.flooded) return refused("bad_request", "The chunks of the request body are too small.");
    if (this.#body?.tooLarge) return bodyTooLarge(this.#maxBodyBytes);
    if (error instanceof ProxyError) return error;
    switch (this.#abort) {
      case "connect_timeout":
        return connectTimeout(true);
      case "request_timeout":
        return requestTimeout();
      case "response_timeout":
        return responseTimeout();
      default:
        return fromFetchError(error, this.#uploadState);
    }
  }
}

/**
 * Methods that `fetch` rejects, in upper or lower case. The forwarder refuses the first two, spelled as here, for all
 * engines.
 */
const UNFETCHABLE: ReadonlySet<string> = new Set(["CONNECT", "TRACE", "TRACK"]);

/** Why `fetch` can't send a request; `undefined`: it can. */
export function refusalOf(request: FetchRequestHead): ProxyError | undefined {
  if (request.malformed !== undefined) return refused("bad_request", request.malformed);
  if (Number.isNaN(request.bodyBytes)) return refused("bad_request", "More than one Content-Length.");
  if (request.hasForeignCoding) return refused("not_implemented", "Only the transfer coding chunked is supported.");
  const method = request.method.toUpperCase();
  if (UNFETCHABLE.has(method) && (request.method !== method || method === "TRACK")) {
    return refused("not_implemented", `${request.method} is not supported.`);
  }
  if (request.bodyBytes !== 0 && (request.method === "GET" || request.method === "HEAD")) {
    return refused("not_implemented", `${request.method} with a body is not supported.`);
  }
  return undefined;
}

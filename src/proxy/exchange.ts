/** The story of one request: pick a backend, attempt, relay; on failure try another or answer. Knows no engine. */

import type { LoadBalancer } from "../balancing/load_balancer.ts";
import type { Stickiness } from "../balancing/sticky.ts";
import { messageOf, ProxyError } from "../errors.ts";
import type { FailureReports } from "../health/passive.ts";
import type { Log } from "../log.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import type { SharedState } from "../pool/shared_state.ts";
import { isWellFormedAuthority } from "./authority.ts";
import type { ForwardedTrust } from "./forwarded.ts";
import {
  dropsRequestTrailer,
  dropsResponseTrailer,
  type ForwardedRequest,
  forwardRequest,
  forwardResponse,
  type HeaderRules,
} from "./headers.ts";
import type { RandomHex } from "./ids.ts";
import { Journey } from "./journey.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import { CLIENT_GONE, isServerFailure, type Problem, problemFor } from "./problem.ts";
import type { Ending, RequestRecorder } from "./record.ts";
import type { RequestQueue } from "./queue.ts";
import { mayGoAgain, mayRetry, type RetryQuestion } from "./retry.ts";
import { SecondChance } from "./second_chance.ts";
import { tryLease } from "./try_lease.ts";

/** One client request being answered. An engine implements it; `Forwarder` drives it. */
export interface Exchange<Response extends ResponseHead> {
  readonly request: RequestHead;
  /** Why this engine can't carry the request at all, if so. */
  readonly refusal: ProxyError | undefined;
  /** Why the exchange was broken off from this side, if it was: the client has left, a limit on the whole has passed. */
  readonly brokenOff: ProxyError | undefined;
  /** Bytes of the request's body that have come from the client; `null`: the engine can't know. */
  readonly bytesIn: number | null;
  /** Whether all of the request body that was handed out can be handed out again. */
  readonly bodyReplayable: boolean;
  /** Whether a 1xx of a backend has gone to the client: when that backend fails, no other may begin again. */
  readonly informed: boolean;
  /** Waits until there is time for the request; `undefined`: there is now. For engines that have to see to it. */
  waitForTurn?(): Promise<void> | undefined;
  /** Sends the request to a backend; resolves with its response's head. Rejects with a `ProxyError` only. */
  attempt(backend: Backend, headers: HeaderPair[]): Promise<Response>;
  /** Sends a backend's response on. Settles when its body has ended, failed or been abandoned; never rejects. */
  relay(response: Response, headers: HeaderPair[]): Promise<Relayed>;
  /** Drops a backend's response that is not passed on. */
  discard(response: Response): void;
  /** Answers without a backend. Settles when the answer is out or the client gone; never rejects. */
  answer(problem: Problem): Promise<void>;
}

/** How the sending on of a response ended. */
export interface Relayed {
  /** Bytes of the body, as they went to the client; `null`: the engine can't know. */
  readonly bytesOut: number | null;
  /** What broke the body off, if the client did not get all of it. */
  readonly failure: ProxyError | undefined;
  /** Whether the failure came before anything went to the client, so that it can still get an answer. */
  readonly unsaid?: boolean;
}

/** How requests are forwarded, in the configuration's terms. */
export interface ForwardingRules {
  readonly trust: ForwardedTrust;
  readonly requestHeaders: HeaderRules;
  readonly responseHeaders: HeaderRules;
  readonly maxRetries: number;
  readonly retryBudget: number;
  readonly retryStatuses: ReadonlySet<number>;
  /** `Infinity`: no limit. */
  readonly maxBodyBytes: number;
}

/** What a `Forwarder` works with. */
export interface ForwarderParts {
  readonly balancer: LoadBalancer;
  readonly shared: SharedState;
  readonly queue: RequestQueue;
  readonly recorder: RequestRecorder;
  /** `undefined`: clients do not stick. */
  readonly stickiness: Stickiness | undefined;
  readonly passive: FailureReports;
  readonly random: RandomHex;
  readonly rules: ForwardingRules;
  readonly log: Log;
  /** Seconds until an eligible backend may be back: for `Retry-After`. */
  readonly retryAfterSeconds: () => number;
}

/** Tells the story for each request of one isolate. */
export class Forwarder {
  #parts: ForwarderParts;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** Works with other parts from now on, for requests under way too. */
  configure(parts: ForwarderParts): void {
    this.#parts = parts;
  }

  /** Answers one request. Settles when nothing of it is left; never rejects. */
  async handle<Response extends ResponseHead>(exchange: Exchange<Response>): Promise<void> {
    const { rules, random, recorder } = this.#parts;
    const { request } = exchange;
    const startedAt = performance.now();
    recorder.started();
    const forwarded = forwardRequest(request, rules.trust, rules.requestHeaders, random);
    const journey = new Journey(request, forwarded);
    let ending: Ending;
    try {
      const turn = exchange.waitForTurn?.();
      if (turn !== undefined) await turn;
      const refusal = exchange.brokenOff ?? exchange.refusal ?? refusalOf(request, rules.maxBodyBytes);
      if (refusal !== undefined) throw refusal;
      ending = await this.#forward(exchange, forwarded, journey);
    } catch (error) {
      ending = await this.#answerFailure(exchange, forwarded.requestId, error);
    }
    const { bytesIn } = exchange;
    recorder.ended({ request, forwarded, journey, bytesIn, durationMs: performance.now() - startedAt, ending });
  }

  /**
   * The answer to what never became a request: a malformed head, or none in time. It counts as one all the same.
   *
   * @param client the address at the other end of the connection
   */
  refuse(error: ProxyError, client: string): Problem {
    const { log, random, recorder } = this.#parts;
    const requestId = random.take(16);
    const problem = problemFor(error, requestId, 1);
    log.debug("request refused", { code: error.code, reason: error.message });
    recorder.refused({ requestId, client, status: problem.status, bytesOut: byteLength(problem.body), failure: error });
    return problem;
  }

  /** Whether a request's trailer of this name goes no further. */
  dropsRequestTrailer(name: string): boolean {
    return dropsRequestTrailer(name, this.#parts.rules.requestHeaders);
  }

  /** Whether a response's trailer of this name goes no further. */
  dropsResponseTrailer(name: string): boolean {
    return dropsResponseTrailer(name, this.#parts.rules.responseHeaders);
  }

  async #forward<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    forwarded: ForwardedRequest,
    journey: Journey,
  ): Promise<Ending> {
    const { rules, recorder, queue } = this.#parts; // one request goes by one set of rules
    journey.session = this.#parts.stickiness?.find(journey);
    let lease = this.#tryLease(journey) ?? await this.#waitForRoom(exchange, journey);
    while (true) {
      let next: Lease | undefined;
      let failure: ProxyError | undefined;
      journey.tried.push(lease.backend);
      try {
        const attemptedAt = performance.now();
        const response = await exchange.attempt(lease.backend, forwarded.headers);
        this.#answered(lease.backend, response, performance.now() - attemptedAt);
        const { status } = response;
        if (rules.retryStatuses.has(status) && this.#mayRetry(exchange, journey, status)) {
          next = this.#withinBudget(this.#tryLease(journey));
        }
        if (next === undefined) {
          const headers = this.#responseHeaders(response, forwarded, journey, lease.backend);
          const { bytesOut, failure, unsaid } = await exchange.relay(response, headers);
          if (failure !== undefined && unsaid === true) throw failure;
          if (failure !== undefined) this.#blame(lease.backend, forwarded.requestId, failure, "response cut");
          return { status, backend: lease.backend, bytesOut, failure };
        }
        exchange.discard(response);
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        this.#blame(lease.backend, forwarded.requestId, error, "attempt failed");
        if (!mayGoAgain(this.#question(exchange, journey, error), journey.heldSince > 0)) throw error;
        failure = error;
      } finally {
        lease.release();
        queue.released(lease.backend);
      }
      lease = next ?? await this.#again(exchange, journey, failure);
      recorder.retried(failure?.code ?? "status");
    }
  }

  #tryLease(journey: Journey): Lease | undefined {
    return tryLease(this.#parts.balancer, journey);
  }

  /** Counts the retry that a place was taken for; where others have used the budget up by now, gives the place back. */
  #withinBudget(lease: Lease | undefined): Lease | undefined {
    const { shared, rules, queue } = this.#parts;
    if (lease === undefined || shared.countRetry(rules.retryBudget)) return lease;
    lease.release();
    queue.released(lease.backend);
    return undefined;
  }

  /** A place for a request that failed: elsewhere, or where it was once that is back. Fails with `failure` without one. */
  async #again<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    journey: Journey,
    failure: ProxyError | undefined,
  ): Promise<Lease> {
    const allowed = failure !== undefined && this.#mayRetry(exchange, journey, failure);
    const lease = allowed ? this.#withinBudget(this.#tryLease(journey)) : undefined;
    return lease ?? await this.#waitForRoom(exchange, journey, failure, allowed);
  }

  /** Waits while backends that could serve the request are full, or all were lost just now; fails where none could. */
  async #waitForRoom<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    journey: Journey,
    failure = new ProxyError("no backend is eligible", { code: "no_backend", side: "proxy", requestSent: false }),
    allowed = true,
  ): Promise<Lease> {
    const tryLease = () => this.#tryLease(journey);
    const chance = new SecondChance(this.#parts, { exchange, journey, failure, allowed, tryLease });
    const hopeless = chance.hopeless;
    if (hopeless !== undefined) throw hopeless;
    return await this.#parts.queue.wait(chance);
  }

  #answered(backend: Backend, { status }: ResponseHead, latencyMs: number): void {
    backend.answered(latencyMs);
    if (status >= 500) this.#parts.passive.serverError(backend, status);
  }

  #responseHeaders(
    response: ResponseHead,
    { requestId }: ForwardedRequest,
    journey: Journey,
    backend: Backend,
  ): HeaderPair[] {
    const { rules, stickiness } = this.#parts;
    const headers = forwardResponse(response, requestId, rules.responseHeaders);
    const cookie = stickiness?.bind(journey, backend);
    if (cookie !== undefined) headers.push(["set-cookie", cookie]);
    return headers;
  }

  /** Whether the rules and the budget let the request go to another backend. */
  #mayRetry<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    journey: Journey,
    failure: ProxyError | number,
  ): boolean {
    const { rules, shared } = this.#parts;
    return mayRetry(this.#question(exchange, journey, failure)) && shared.retryBudget.allows(rules.retryBudget);
  }

  #question<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    journey: Journey,
    failure: ProxyError | number,
  ): RetryQuestion {
    return {
      method: exchange.request.method,
      hasBody: exchange.request.bodyBytes !== 0,
      bodyReplayable: exchange.bodyReplayable,
      informed: exchange.informed,
      attempts: journey.tried.length,
      maxRetries: this.#parts.rules.maxRetries,
      failure,
    };
  }

  /** Blames the backend for what is its fault, and only that. */
  #blame(backend: Backend, requestId: string, error: ProxyError, message: string): void {
    if (error.side !== "backend") return;
    const { passive, log } = this.#parts;
    backend.countFailure();
    const reason = `${error.message}${error.cause === undefined ? "" : `: ${messageOf(error.cause)}`}`;
    log.warn(message, { backend: backend.url, requestId, code: error.code, reason });
    if (error.code === "connect_failed") passive.connectFailed(backend, error.message);
    else passive.failed(backend, error.message);
  }

  async #answerFailure<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    requestId: string,
    thrown: unknown,
  ): Promise<Ending> {
    const { log, retryAfterSeconds } = this.#parts;
    const error = thrown instanceof ProxyError
      ? thrown
      : new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause: thrown });
    if (error.code === "internal") log.error("request failed", { requestId, reason: messageOf(error.cause) });
    if (!isServerFailure(error)) log.debug("request refused", { requestId, code: error.code, reason: error.message });
    const problem = problemFor(error, requestId, error.code === "no_backend" ? retryAfterSeconds() : 1);
    await exchange.answer(problem);
    return {
      status: problem.status,
      backend: undefined,
      bytesOut: sentBytes(exchange.request, problem),
      failure: error,
    };
  }
}

/** How much of a problem's body goes out, to a client that stays for it. */
function sentBytes({ method }: RequestHead, { status, body }: Problem): number {
  return method === "HEAD" || status === CLIENT_GONE ? 0 : byteLength(body);
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Why a request is refused before any backend is chosen, if it is. */
function refusalOf(request: RequestHead, maxBodyBytes: number): ProxyError | undefined {
  if (request.method === "CONNECT" || request.method === "TRACE") {
    return clientError("method_not_allowed", `${request.method} is not supported.`);
  }
  if (request.authority === undefined) return clientError("bad_request", "The Host header is missing.");
  if (!isWellFormedAuthority(request.authority)) return clientError("bad_request", "The Host header is malformed.");
  if (request.bodyBytes !== undefined && request.bodyBytes > maxBodyBytes) return bodyTooLarge(maxBodyBytes);
  return undefined;
}

/** The request's body is over `proxy.maxBodySize`, by its length or as it arrives. */
export function bodyTooLarge(maxBodyBytes: number): ProxyError {
  return clientError("body_too_large", `The request body is larger than ${maxBodyBytes} bytes.`);
}

/** The client left: nobody's failure. */
export function clientGone(): ProxyError {
  return new ProxyError("the client left", { code: "client_gone", side: "client", requestSent: true });
}

function clientError(code: "bad_request" | "method_not_allowed" | "body_too_large", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

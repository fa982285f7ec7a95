/** The story of one request: pick a backend, attempt, relay; on failure try another or answer. Knows no engine. */

import type { LoadBalancer } from "../balancing/load_balancer.ts";
import type { PickRequest } from "../balancing/strategy.ts";
import { messageOf, ProxyError } from "../errors.ts";
import type { PassiveHealth } from "../health/passive.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { SharedState } from "../pool/shared_state.ts";
import { isWellFormedAuthority } from "./authority.ts";
import type { ForwardedTrust } from "./forwarded.ts";
import { type ForwardedRequest, forwardRequest, forwardResponse, type HeaderRules } from "./headers.ts";
import type { RandomHex } from "./ids.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import { isServerFailure, type Problem, problemFor } from "./problem.ts";
import { mayRetry } from "./retry.ts";

/** One client request being answered. An engine implements it; `Forwarder` drives it. */
export interface Exchange<Response extends ResponseHead> {
  readonly request: RequestHead;
  /** Why this engine can't carry the request at all, if so. */
  readonly refusal: ProxyError | undefined;
  /** Whether all of the request body that was handed out can be handed out again. */
  readonly bodyReplayable: boolean;
  /** Sends the request to a backend; resolves with its response's head. Rejects with a `ProxyError` only. */
  attempt(backend: Backend, headers: HeaderPair[]): Promise<Response>;
  /** Sends a backend's response on. Settles when its body has ended, failed or been abandoned; never rejects. */
  relay(response: Response, headers: HeaderPair[]): Promise<void>;
  /** Drops a backend's response that is not passed on. */
  discard(response: Response): void;
  /** Answers without a backend. Settles when the answer is out or the client gone; never rejects. */
  answer(problem: Problem): Promise<void>;
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
  readonly passive: PassiveHealth;
  readonly random: RandomHex;
  readonly rules: ForwardingRules;
  readonly log: Log;
  /** Seconds until an eligible backend may be back: for `Retry-After`. */
  readonly retryAfterSeconds: () => number;
}

/** Tells the story for each request of one isolate. */
export class Forwarder {
  readonly #parts: ForwarderParts;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** Answers one request. Settles when nothing of it is left; never rejects. */
  async handle<Response extends ResponseHead>(exchange: Exchange<Response>): Promise<void> {
    const { shared, rules, random } = this.#parts;
    shared.requestStarted();
    const forwarded = forwardRequest(exchange.request, rules.trust, rules.requestHeaders, random);
    try {
      const refusal = exchange.refusal ?? refusalOf(exchange.request, rules.maxBodyBytes);
      if (refusal !== undefined) throw refusal;
      await this.#forward(exchange, forwarded);
    } catch (error) {
      await this.#answerFailure(exchange, forwarded.requestId, error);
    } finally {
      shared.requestEnded();
    }
  }

  async #forward<Response extends ResponseHead>(exchange: Exchange<Response>, forwarded: ForwardedRequest) {
    const { balancer, rules } = this.#parts;
    const journey = new Journey(exchange.request, forwarded);
    let backend = balancer.pick(journey);
    if (backend === undefined) {
      throw new ProxyError("no backend is eligible", { code: "no_backend", side: "proxy", requestSent: false });
    }
    while (true) {
      let next: Backend | undefined;
      journey.tried.push(backend);
      const lease = backend.lease();
      try {
        const startedAt = performance.now();
        const response = await exchange.attempt(backend, forwarded.headers);
        backend.answered(performance.now() - startedAt);
        if (response.status >= 500) this.#parts.passive.serverError(backend, response.status);
        if (rules.retryStatuses.has(response.status)) next = this.#nextBackend(exchange, journey, response.status);
        if (next === undefined) {
          const headers = forwardResponse(response.headers, forwarded.requestId, rules.responseHeaders);
          await exchange.relay(response, headers);
          return;
        }
        exchange.discard(response);
      } catch (error) {
        this.#attemptFailed(backend, forwarded.requestId, error);
        next = error instanceof ProxyError ? this.#nextBackend(exchange, journey, error) : undefined;
        if (next === undefined) throw error;
      } finally {
        lease.release();
      }
      backend = next;
    }
  }

  /** Another backend to try after a failure, where the rules, the budget and the pool have one. */
  #nextBackend<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    journey: Journey,
    failure: ProxyError | number,
  ): Backend | undefined {
    const { rules, shared, balancer } = this.#parts;
    const allowed = mayRetry({
      method: exchange.request.method,
      hasBody: exchange.request.bodyBytes !== 0,
      bodyReplayable: exchange.bodyReplayable,
      attempts: journey.tried.length,
      maxRetries: rules.maxRetries,
      failure,
    });
    if (!allowed || !shared.retryWithinBudget(rules.retryBudget)) return undefined;
    const backend = balancer.pick(journey);
    if (backend !== undefined) shared.countRetry();
    return backend;
  }

  /** Blames the backend for what is its fault, and only that. */
  #attemptFailed(backend: Backend, requestId: string, error: unknown): void {
    if (!(error instanceof ProxyError) || error.side !== "backend") return;
    const { passive, log } = this.#parts;
    backend.countFailure();
    const reason = `${error.message}${error.cause === undefined ? "" : `: ${messageOf(error.cause)}`}`;
    log.warn("attempt failed", { backend: backend.url, requestId, code: error.code, reason });
    if (error.code === "connect_failed") passive.connectFailed(backend, error.message);
    else passive.failed(backend, error.message);
  }

  async #answerFailure<Response extends ResponseHead>(
    exchange: Exchange<Response>,
    requestId: string,
    thrown: unknown,
  ) {
    const { shared, log, retryAfterSeconds } = this.#parts;
    const error = thrown instanceof ProxyError
      ? thrown
      : new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause: thrown });
    if (error.code === "internal") log.error("request failed", { requestId, reason: messageOf(error.cause) });
    if (isServerFailure(error)) shared.countFailedRequest();
    else log.debug("request refused", { requestId, code: error.code, reason: error.message });
    await exchange.answer(problemFor(error, requestId, error.code === "no_backend" ? retryAfterSeconds() : 1));
  }
}

/** A request on its way: what strategies may know of it, and where it has been. */
class Journey implements PickRequest {
  readonly client: string;
  readonly target: string;
  readonly tried: Backend[] = [];
  readonly #headers: readonly HeaderPair[];

  constructor(request: RequestHead, forwarded: ForwardedRequest) {
    this.client = forwarded.client;
    this.target = request.target;
    this.#headers = request.headers;
  }

  header(name: string): string | undefined {
    return this.#headers.find((pair) => pair[0].toLowerCase() === name)?.[1];
  }

  accepts(backend: Backend): boolean {
    return !this.tried.includes(backend);
  }
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

function clientError(code: "bad_request" | "method_not_allowed" | "body_too_large", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

/**
 * The loop over a request: pick a backend, attempt, relay. After a failure, try another backend or answer. Knows no
 * engine.
 */

import { messageOf, ProxyError } from "../errors.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import { isWellFormedAuthority } from "./authority.ts";
import type { Answer, Exchange, OwnAnswer } from "./exchange.ts";
import { turnEpoch, turnNow } from "../net/turn_clock.ts";
import { hostMissing, methodNotAllowed, noBackend, refused, stopping, unexpected } from "../failures.ts";
import { forwardResponse } from "./headers.ts";
import type { HeaderPair, RequestHead } from "./message.ts";
import { CLIENT_GONE, isServerFailure, type Problem, problemFor } from "./problem.ts";
import type { Ending } from "./ending.ts";
import { mayGoAgain, mayRetry, type RetryQuestion } from "./retry.ts";
import { bodyRefusal, chooseRoute } from "./route_choice.ts";
import type { ForwarderParts } from "./rules.ts";
import { SecondChance } from "./second_chance.ts";
import { type PooledStory, Story } from "./story.ts";
import { tryLease } from "./try_lease.ts";

/** Forwards the requests of one isolate. */
export class Forwarder {
  #parts: ForwarderParts;
  #stopping = false;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
  }

  /** Requests that begin from now on use `parts`. */
  configure(parts: ForwarderParts): void {
    this.#parts = parts;
  }

  /** Whether the proxy is shutting down. Connections of clients are then not kept for another request. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Refuses requests that begin from now on. */
  stop(): void {
    this.#stopping = true;
  }

  /** Answers one request from beginning to end. Never rejects. */
  handle(exchange: Exchange): Promise<void> {
    return this.tell(this.begin(exchange));
  }

  /** Begins a request with the configuration in force. `tell` must be called after it. */
  begin(exchange: Exchange): Story {
    const parts = this.#parts;
    parts.recorder.started();
    const story = new Story(exchange, parts);
    story.refusal = this.#stopping ? stopping() : refusalOf(story);
    story.pool?.countRequest(turnEpoch());
    exchange.keepTo(story.rules.limits);
    return story;
  }

  /** Answers a request that has begun. Settles when it has ended completely. Never rejects. */
  async tell(story: Story): Promise<void> {
    let ending: Ending;
    try {
      const refusal = story.exchange.brokenOff ?? story.refusal;
      if (refusal !== undefined) throw refusal;
      if (story.goesToPool()) ending = await forward(story);
      else ending = await answerOwn(story);
    } catch (error) {
      ending = await answerFailure(story, error);
    }
    story.parts.recorder.ended(story, ending);
  }

  /**
   * Returns the answer to a malformed head, or to a head that did not arrive in time. It counts as a request.
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
}

/** Why a request is refused before a backend is chosen; `undefined`: it is not. */
function refusalOf(story: Story): ProxyError | undefined {
  const { method, authority } = story.request;
  if (method === "CONNECT" || method === "TRACE") return methodNotAllowed(method);
  if (authority === undefined) return hostMissing();
  if (!isWellFormedAuthority(authority)) return refused("bad_request", "The Host header is malformed.");
  return chooseRoute(story, authority) ?? (story.goesToPool() ? bodyRefusal(story) : undefined);
}

/** Gives the answer of the route itself. */
async function answerOwn({ exchange, ownAnswer }: Story): Promise<Ending> {
  if (ownAnswer === undefined) throw unexpected("neither a pool nor an answer");
  await exchange.answer(ownAnswer);
  const bytesOut = sentBytes(exchange.request, ownAnswer);
  return { status: ownAnswer.status, backend: undefined, bytesOut, failure: undefined };
}

/** Tries backends until the answer of one has been relayed. Throws a `ProxyError` if there is no such answer. */
async function forward(story: PooledStory): Promise<Ending> {
  const { exchange, pool, rules, tried } = story;
  story.session = pool.stickiness?.find(story);
  let lease = tryLease(story) ?? await waitForRoom(story, noBackend(), true);
  while (true) {
    const { backend } = lease;
    let next: Lease | undefined;
    let failure: ProxyError | undefined;
    tried.push(backend);
    try {
      const attemptedAt = turnNow();
      const answer = await exchange.attempt(backend, story.backendTarget, story.headers);
      const { status } = answer;
      answered(story, backend, status, turnNow() - attemptedAt);
      if (rules.retryStatuses.has(status) && allowsRetry(story, status)) {
        next = withinBudget(story, tryLease(story));
      }
      if (next === undefined) {
        const { bytesOut, failure, unsaid } = await answer.relay(responseHeaders(story, answer, backend));
        if (failure !== undefined && unsaid === true) throw failure;
        if (failure !== undefined) blame(story, backend, failure, "response cut");
        return { status, backend, bytesOut, failure };
      }
      answer.discard();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      blame(story, backend, error, "attempt failed");
      if (!mayGoAgain(questionOf(story, error), story.heldSince > 0)) throw error;
      failure = error;
    } finally {
      lease.release();
      pool.queue.released(backend);
    }
    lease = next ?? await again(story, failure);
    story.parts.recorder.retried(failure?.code ?? "status");
  }
}

function answered(story: PooledStory, backend: Backend, status: number, latencyMs: number): void {
  backend.answered(status, latencyMs, turnEpoch());
  if (status >= 500) story.pool.passive.serverError(backend, status);
}

function responseHeaders(story: PooledStory, answer: Answer, backend: Backend): HeaderPair[] {
  const headers = forwardResponse(answer, story.forwarded.requestId, story.rules.responseHeaders);
  const cookie = story.pool.stickiness?.bind(story, backend);
  if (cookie !== undefined) headers.push(["set-cookie", cookie]);
  return headers;
}

/** Counts a failure against the backend, if it was the backend's fault. */
function blame({ forwarded, parts, pool }: PooledStory, backend: Backend, error: ProxyError, message: string): void {
  if (error.side !== "backend") return;
  backend.countFailure();
  const reason = `${error.message}${error.cause === undefined ? "" : `: ${messageOf(error.cause)}`}`;
  parts.log.warn(message, { backend: backend.url, requestId: forwarded.requestId, code: error.code, reason });
  if (error.code === "connect_failed") pool.passive.connectFailed(backend, error.message);
  else pool.passive.failed(backend, error.message);
}

/**
 * Finds a place for a request that failed: at another backend, or at the same one when it is back. Throws `failure` if
 * there is none.
 */
async function again(story: PooledStory, failure: ProxyError | undefined): Promise<Lease> {
  const allowed = failure !== undefined && allowsRetry(story, failure);
  const lease = allowed ? withinBudget(story, tryLease(story)) : undefined;
  return lease ?? await waitForRoom(story, failure ?? noBackend(), allowed);
}

/**
 * Waits while the backends that could serve the request are full, or while all were lost just now. Throws if none could
 * serve it.
 */
async function waitForRoom(story: PooledStory, failure: ProxyError, allowed: boolean): Promise<Lease> {
  const chance = new SecondChance(story, { failure, allowed });
  const hopeless = chance.hopeless;
  if (hopeless !== undefined) throw hopeless;
  return await story.pool.queue.wait(chance);
}

/** Whether the rules and the budget allow another attempt. */
function allowsRetry(story: PooledStory, failure: ProxyError | number): boolean {
  return mayRetry(questionOf(story, failure)) && story.pool.allowsRetry;
}

/**
 * Counts the retry that a place was taken for. If other requests have used up the budget by now, gives the place back.
 */
function withinBudget({ pool }: PooledStory, lease: Lease | undefined): Lease | undefined {
  if (lease === undefined || pool.takeRetry()) return lease;
  lease.release();
  pool.queue.released(lease.backend);
  return undefined;
}

function questionOf({ exchange, request, rules, tried }: Story, failure: ProxyError | number): RetryQuestion {
  return {
    method: request.method,
    hasBody: request.bodyBytes !== 0,
    replayable: exchange.replayable,
    attempts: tried.length,
    maxRetries: rules.maxRetries,
    failure,
  };
}

async function answerFailure({ exchange, forwarded, parts, pool }: Story, thrown: unknown): Promise<Ending> {
  const { log } = parts;
  const { requestId } = forwarded;
  const error = thrown instanceof ProxyError ? thrown : unexpected(thrown);
  if (error.code === "internal") log.error("request failed", { requestId, reason: messageOf(error.cause) });
  if (!isServerFailure(error)) log.debug("request refused", { requestId, code: error.code, reason: error.message });
  const problem = problemFor(error, requestId, error.code === "no_backend" ? pool?.retryAfterSeconds() ?? 1 : 1);
  await exchange.answer(problem);
  return {
    status: problem.status,
    backend: undefined,
    bytesOut: sentBytes(exchange.request, problem),
    failure: error,
  };
}

/** How many bytes of an answer's body are sent. */
function sentBytes({ method }: RequestHead, { status, body }: OwnAnswer): number {
  if (method === "HEAD" || status === CLIENT_GONE) return 0;
  return typeof body === "string" ? byteLength(body) : body.length;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * The loop over a request that goes to a pool: pick a backend, attempt, relay. After a failure, try another backend or
 * give up. Knows no engine.
 */

import { messageOf, ProxyError } from "../errors.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import { turnEpoch, turnNow } from "../net/turn_clock.ts";
import type { Ending } from "./ending.ts";
import type { Answer, AttemptListener, Relayed } from "./exchange.ts";
import { noBackend, unexpected } from "../failures.ts";
import { forwardResponse } from "./headers.ts";
import type { HeaderPair } from "./message.ts";
import { mayGoAgain, mayRetry, type RetryQuestion } from "./retry.ts";
import { SecondChance } from "./second_chance.ts";
import type { PooledStory } from "./story.ts";
import { tryLease } from "./try_lease.ts";

/** Told how a request ended. */
export interface ForwardingListener {
  /** The answer of a backend was relayed, perhaps not to its end. */
  forwarded(ending: Ending): void;
  /** No backend has answered. The client has been sent nothing. */
  unforwarded(failure: ProxyError): void;
}

/**
 * Tries backends until the answer of one has been relayed. A step ends where it waits for a backend, the client or a
 * place; the engine or the queue calls the next one:
 *
 *     begin → attempt → answered → relayed
 *               ↑ ↓         ↓        ↓
 *               again ←──────── failed
 */
export class Forwarding implements AttemptListener {
  readonly #story: PooledStory;
  readonly #listener: ForwardingListener;
  /** The place at the backend of the present attempt. */
  #lease: Lease | undefined;
  #attemptedAt = 0;
  /** Of the answer that is relayed. */
  #status = 0;

  constructor(story: PooledStory, listener: ForwardingListener) {
    this.#story = story;
    this.#listener = listener;
  }

  begin(): void {
    const story = this.#story;
    try {
      story.session = story.pool.stickiness?.find(story);
      const lease = tryLease(story);
      if (lease === undefined) this.#waitForRoom(noBackend(), true);
      else this.#attempt(lease);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  answered(answer: Answer): void {
    try {
      const story = this.#story;
      const { backend } = this.#held;
      const { status } = answer;
      this.#count(backend, status);
      const retries = story.rules.retryStatuses.has(status) && allowsRetry(story, status);
      const next = retries ? withinBudget(story, tryLease(story)) : undefined;
      if (next === undefined) {
        this.#status = status;
        return answer.relay(responseHeaders(story, answer, backend), this);
      }
      answer.discard();
      this.#release();
      this.#attempt(next, "status");
    } catch (error) {
      this.#giveUp(error);
    }
  }

  failed(error: unknown): void {
    try {
      if (!(error instanceof ProxyError)) return this.#giveUp(error);
      const story = this.#story;
      blame(story, this.#held.backend, error, "attempt failed");
      if (!mayGoAgain(questionOf(story, error), story.heldSince > 0)) return this.#giveUp(error);
      this.#release();
      this.#again(error);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  relayed({ bytesOut, failure, unsaid }: Relayed): void {
    if (failure !== undefined && unsaid === true) return this.failed(failure);
    const { backend } = this.#held;
    if (failure !== undefined) blame(this.#story, backend, failure, "response cut");
    this.#release();
    this.#listener.forwarded({ status: this.#status, backend, bytesOut, failure });
  }

  /** @param retried why the request is tried again; `undefined`: it is the first attempt, or one after a wait */
  #attempt(lease: Lease, retried?: ProxyError["code"] | "status"): void {
    const { exchange, parts, tried, backendTarget: target, headers } = this.#story;
    if (retried !== undefined) parts.recorder.retried(retried);
    const { backend } = lease;
    this.#lease = lease;
    tried.push(backend);
    this.#attemptedAt = turnNow();
    exchange.attempt({ backend, target, headers }, this);
  }

  /** Finds a place for a request that failed: at another backend, or at the same one when it is back. */
  #again(failure: ProxyError): void {
    const story = this.#story;
    const allowed = allowsRetry(story, failure);
    const lease = allowed ? withinBudget(story, tryLease(story)) : undefined;
    if (lease === undefined) this.#waitForRoom(failure, allowed, failure.code);
    else this.#attempt(lease, failure.code);
  }

  /**
   * Waits while the backends that could serve the request are full, or while all were lost just now. Gives up if none
   * could serve it.
   */
  #waitForRoom(failure: ProxyError, allowed: boolean, retried?: ProxyError["code"]): void {
    const story = this.#story;
    const chance = new SecondChance(story, { failure, allowed });
    const { hopeless } = chance;
    if (hopeless !== undefined) return this.#giveUp(hopeless);
    story.pool.queue.wait(chance)
      .then((lease) => this.#attempt(lease, retried))
      .catch((error) => this.#giveUp(error));
  }

  /** The place of the attempt that the engine tells about. */
  get #held(): Lease {
    if (this.#lease === undefined) throw unexpected("an attempt has ended twice");
    return this.#lease;
  }

  #count(backend: Backend, status: number): void {
    backend.answered(status, turnNow() - this.#attemptedAt, turnEpoch());
    if (status >= 500) this.#story.pool.passive.serverError(backend, status);
  }

  /** Gives the place back, and lets a request that waits have it. */
  #release(): void {
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = undefined;
    this.#story.pool.release(lease);
  }

  #giveUp(error: unknown): void {
    this.#release();
    this.#listener.unforwarded(error instanceof ProxyError ? error : unexpected(error));
  }
}

function responseHeaders(story: PooledStory, answer: Answer, backend: Backend): HeaderPair[] {
  const headers = forwardResponse(answer, story.forwarded.requestId, story.rules.responseHeaders);
  const cookie = story.pool.stickiness?.bind(story, backend);
  if (cookie !== undefined) headers.push(["set-cookie", cookie]);
  if (story.guardHeaders !== undefined) headers.push(...story.guardHeaders);
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

/** Whether the rules and the budget allow another attempt. */
function allowsRetry(story: PooledStory, failure: ProxyError | number): boolean {
  return mayRetry(questionOf(story, failure)) && story.pool.allowsRetry;
}

/**
 * Counts the retry that a place was taken for. If other requests have used up the budget by now, gives the place back.
 */
function withinBudget({ pool }: PooledStory, lease: Lease | undefined): Lease | undefined {
  if (lease === undefined || pool.takeRetry()) return lease;
  pool.release(lease);
  return undefined;
}

function questionOf({ exchange, request, rules, tried }: PooledStory, failure: ProxyError | number): RetryQuestion {
  return {
    method: request.method,
    hasBody: request.bodyBytes !== 0,
    replayable: exchange.replayable,
    attempts: tried.length,
    maxRetries: rules.maxRetries,
    failure,
  };
}

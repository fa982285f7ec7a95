/** Decides whether a failed request may be sent again. The functions are pure. */

import type { ProxyError } from "../errors.ts";

/** Methods that have the same effect when they are repeated (RFC 9110 §9.2.2), without TRACE. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/**
 * Whether a method changes nothing (RFC 9110 §9.2.1; without TRACE). An engine may then send a request without a body
 * again without asking `mayRetry`.
 */
export function isSafe(method: string): boolean {
  // Compared one by one: a set would need the hash of a string that was cut from a head just now.
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}

/** What the decision depends on. */
export interface RetryQuestion {
  readonly method: string;
  readonly hasBody: boolean;
  /**
   * Whether the part of the body that was sent can be sent again, and the client has seen no 1xx. After a 1xx, a
   * backend has begun to answer, so its failure is the answer.
   */
  readonly replayable: boolean;
  /** The number of attempts so far, at least 1. */
  readonly attempts: number;
  /** How often a request may be tried again: `retries.attempts`. */
  readonly maxRetries: number;
  /** What went wrong, or the status of an answer that `retries.statuses` names. */
  readonly failure: ProxyError | number;
}

/** Returns whether the request may go to another backend. Does not check the budget: the caller does that last. */
export function mayRetry(question: RetryQuestion): boolean {
  const { failure, method, hasBody } = question;
  if (question.attempts > question.maxRetries) return false;
  const repeatable = IDEMPOTENT.has(method) && !hasBody;
  if (typeof failure === "number") return repeatable;
  if (!question.replayable) return false;
  switch (failure.code) {
    case "connect_failed":
      return failure.requestSent ? repeatable : true;
    case "connection_lost":
    case "response_timeout":
      return repeatable;
    default:
      return false;
  }
}

/**
 * Returns whether a failed request may be sent again after all backends were lost and one is back. If nothing of it was
 * sent, it may be sent any number of times, as if it had arrived a moment later. Otherwise it may be sent once more
 * even after its last attempt, but only if it has not waited for a lost backend before.
 */
export function mayGoAgain(question: RetryQuestion, wasHeld: boolean): boolean {
  const { failure, replayable } = question;
  const unsent = typeof failure !== "number" && failure.code === "connect_failed" && !failure.requestSent;
  return unsent && replayable || mayRetry(wasHeld ? question : { ...question, attempts: 1 });
}

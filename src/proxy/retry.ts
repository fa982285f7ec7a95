/** Whether a failed request may be sent to another backend: one pure function. */

import type { ProxyError } from "../errors.ts";

/** Methods that may be repeated without changing more than once would (RFC 9110 §9.2.2), less TRACE. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** Methods that change nothing (RFC 9110 §9.2.1), less TRACE. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Whether an engine may send a request with this method again, if it has no body, without asking `mayRetry`. */
export function isSafe(method: string): boolean {
  return SAFE.has(method);
}

/** What the decision rests on. */
export interface RetryQuestion {
  readonly method: string;
  readonly hasBody: boolean;
  /**
   * Whether all of the body that was handed out can be handed out again, and the client has seen no 1xx: once it has, a
   * backend has begun to answer, and its failure is the answer.
   */
  readonly replayable: boolean;
  /** Attempts made so far, from 1. */
  readonly attempts: number;
  /** How often a request may be tried again: `retries.attempts`. */
  readonly maxRetries: number;
  /** What went wrong, or the status of an answer that the configuration says to retry. */
  readonly failure: ProxyError | number;
}

/**
 * Returns whether the request may go to another backend. Leaves the budget out: that is asked last, since asking
 * spends it.
 */
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
 * Returns whether a failed request may go out anew once backends that were all lost are back: however often nothing of it
 * was sent, as if it had come a moment later; else after its last attempt too, but once.
 */
export function mayGoAgain(question: RetryQuestion, wasHeld: boolean): boolean {
  const { failure, replayable } = question;
  const unsent = typeof failure !== "number" && failure.code === "connect_failed" && !failure.requestSent;
  return unsent && replayable || mayRetry(wasHeld ? question : { ...question, attempts: 1 });
}

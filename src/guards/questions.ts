/** How a guard asks a server, as far as guards know of it. What moves the bytes is elsewhere. */

import type { ReachedServer } from "../pool/backend_address.ts";

/** One question: a GET. */
export interface Question {
  readonly server: ReachedServer;
  /** Request line and headers, without those of the connection and without the empty line. Latin-1. */
  readonly head: string;
  /** How long it may take. For an answer of 2xx, that is until its head. */
  readonly timeoutMs: number;
}

/** What was answered. */
export interface Answered {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly [name: string, value: string][];
  /** Without the framing, at most `MOST_ANSWER_BYTES`. Empty if the status is 2xx: that body is of no use. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** As much of a body is read. */
export const MOST_ANSWER_BYTES = 64 * 1024;

/** Asks servers, and keeps the connections. One for each isolate. */
export interface Questions {
  /**
   * Asks once. Rejects with a `ProxyError` if there is no answer in time, or a malformed one.
   *
   * @param signal ends the question
   * @param ended called once, when the connection is free or closed. May be after the answer
   */
  ask(question: Question, signal: AbortSignal, ended: () => void): Promise<Answered>;
  /** Closes the idle connections to a server that is no longer asked, and later those in use. */
  leave(server: ReachedServer): void;
}

/** For guards that are only explained. */
export const NO_QUESTIONS: Questions = {
  ask: () => Promise.reject(new Error("nobody can be asked here")),
  leave() {},
};

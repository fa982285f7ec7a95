/** Time limits for attempts, without a timer for each. */

/** A limit is overrun by at most a hundredth, and never by more than this. */
const LARGEST_SLACK_MS = 100;

/**
 * One limit, shared by all attempts that begin within the same moment: a timer for each attempt would outlive it by
 * up to the whole limit (`AbortSignal.timeout` can't be taken back), and at thousands of requests a second those
 * would be hundreds of thousands of timers. Whoever gets a signal listens while it waits and stops listening after.
 */
export class Deadline {
  readonly limitMs: number;
  readonly #slackMs: number;
  #signal: AbortSignal | undefined;
  #madeAt = 0;

  /** @param limitMs from 1 */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
    this.#slackMs = Math.min(limitMs / 100, LARGEST_SLACK_MS);
  }

  /** A signal that fires when the limit has passed since `nowMs` (`performance.now()`), never sooner. */
  signal(nowMs: number): AbortSignal {
    if (this.#signal === undefined || nowMs - this.#madeAt > this.#slackMs) {
      this.#signal = AbortSignal.timeout(Math.ceil(this.limitMs + this.#slackMs));
      this.#madeAt = nowMs;
    }
    return this.#signal;
  }
}

/** Time limits for attempts, without a timer for each. */

/** A limit is overrun by at most a hundredth, and never by more than this. */
const LARGEST_SLACK_MS = 100;

/** Whoever waits for a limit. */
export interface DeadlineListener {
  /** The limit of the moment that was joined has passed. */
  limitPassed(moment: Moment): void;
}

/** Those who began to wait at the same time, behind one `AbortSignal.timeout`. */
export class Moment {
  readonly signal: AbortSignal;
  readonly #waiting = new Set<DeadlineListener>();

  constructor(limitMs: number) {
    this.signal = AbortSignal.timeout(limitMs);
    this.signal.addEventListener("abort", () => {
      for (const listener of this.#waiting) listener.limitPassed(this);
      this.#waiting.clear();
    });
  }

  join(listener: DeadlineListener): void {
    this.#waiting.add(listener);
  }

  leave(listener: DeadlineListener): void {
    this.#waiting.delete(listener);
  }
}

/**
 * One limit, shared by all who begin to wait within the same moment. A timer for each would outlive it by up to the
 * whole limit (`AbortSignal.timeout` can't be taken back), and at thousands of requests a second those would be
 * hundreds of thousands of timers; and an entry in a `Set` costs a twentieth of an event listener.
 */
export class Deadline {
  readonly limitMs: number;
  readonly #slackMs: number;
  #moment: Moment | undefined;
  #madeAt = 0;

  /** @param limitMs from 1 */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
    this.#slackMs = Math.min(limitMs / 100, LARGEST_SLACK_MS);
  }

  /** Lets `listener` know once the limit has passed from now on, never sooner, unless it leaves the moment before. */
  start(listener: DeadlineListener): Moment {
    const now = Date.now();
    // The system clock may be set back.
    if (this.#moment === undefined || Math.abs(now - this.#madeAt) > this.#slackMs) {
      this.#moment = new Moment(Math.ceil(this.limitMs + this.#slackMs) + 1); // `now` is up to a millisecond behind
      this.#madeAt = now;
    }
    this.#moment.join(listener);
    return this.#moment;
  }
}

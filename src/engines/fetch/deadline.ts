/** Time limits for attempts, without a timer for each. */

import { FairLimit } from "../../net/fair_limit.ts";

/** A limit is overrun by at most a hundredth, and never by more than this. */
const LARGEST_SLACK_MS = 100;

/** Whoever waits for a limit. */
export interface DeadlineListener {
  /** The limit of the moment that was joined has passed. */
  limitPassed(moment: Moment): void;
}

/** Those who began to wait at the same time, behind one limit. Ends when all of them have left. */
export class Moment {
  readonly #limit: FairLimit;
  readonly #waiting = new Set<DeadlineListener>();
  #cutter: AbortController | undefined;
  #passed = false;
  #over = false;

  constructor(limitMs: number, startsAnew: boolean) {
    this.#limit = new FairLimit(limitMs, () => this.#pass(), { startsAnew });
  }

  /** Whether the limit has passed. */
  get passed(): boolean {
    return this.#passed;
  }

  /** Whether nobody can join any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Fires when the limit passes, for what takes a signal. */
  get signal(): AbortSignal {
    this.#cutter ??= new AbortController();
    if (this.#passed) this.#cut();
    return this.#cutter.signal;
  }

  join(listener: DeadlineListener): void {
    this.#waiting.add(listener);
  }

  /** May be called again. */
  leave(listener: DeadlineListener): void {
    this.#waiting.delete(listener);
    if (this.#waiting.size > 0) return;
    this.#over = true;
    this.#limit.clear();
  }

  #pass(): void {
    this.#passed = this.#over = true;
    this.#cut();
    for (const listener of this.#waiting) listener.limitPassed(this);
    this.#waiting.clear();
  }

  #cut(): void {
    this.#cutter?.abort(new DOMException("the limit has passed", "TimeoutError"));
  }
}

/**
 * One limit, shared by all who begin to wait within the same moment: at thousands of requests a second a timer for each
 * would be dear, and an entry in a `Set` costs a twentieth of an event listener.
 */
export class Deadline {
  readonly limitMs: number;
  readonly #startsAnew: boolean;
  readonly #slackMs: number;
  #moment: Moment | undefined;
  #madeAt = 0;

  /**
   * @param limitMs from 1
   * @param options `startsAnew`: whether the limit does so where this program ran late
   */
  constructor(limitMs: number, { startsAnew }: { readonly startsAnew: boolean }) {
    this.limitMs = limitMs;
    this.#startsAnew = startsAnew;
    this.#slackMs = Math.min(limitMs / 100, LARGEST_SLACK_MS);
  }

  /**
   * Lets `listener` know once the limit has passed from now on, never sooner, unless it leaves the moment before. It has
   * to leave.
   */
  start(listener: DeadlineListener): Moment {
    const now = Date.now();
    // The system clock may be set back.
    if (this.#moment === undefined || this.#moment.over || Math.abs(now - this.#madeAt) > this.#slackMs) {
      // `now` is up to a millisecond behind.
      this.#moment = new Moment(Math.ceil(this.limitMs + this.#slackMs) + 1, this.#startsAnew);
      this.#madeAt = now;
    }
    this.#moment.join(listener);
    return this.#moment;
  }
}

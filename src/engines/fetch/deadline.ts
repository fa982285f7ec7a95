/** Time limits for attempts, without a timer for each. */

import { FairLimit } from "../../net/fair_limit.ts";
import type { RequestTimeouts } from "../../proxy/exchange.ts";

/** A limit may be too long by a hundredth, but never by more than this. */
const LARGEST_SLACK_MS = 100;

/** Something that waits for a limit. */
export interface DeadlineListener {
  /** The limit of the joined moment has passed. */
  limitPassed(moment: Moment): void;
}

/** One limit for all listeners that began to wait at about the same time. Ends when all have left. */
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

  /** Whether no listener can join any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Fires when the limit passes, for APIs that take a signal. */
  get signal(): AbortSignal {
    this.#cutter ??= new AbortController();
    if (this.#passed) this.#cut();
    return this.#cutter.signal;
  }

  join(listener: DeadlineListener): void {
    this.#waiting.add(listener);
  }

  /** Removes a listener. May be called several times. */
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
 * One limit, shared by all listeners that begin to wait at about the same time. With thousands of requests a second, a
 * timer for each would cost too much. An entry in a `Set` costs a twentieth of an event listener.
 */
export class Deadline {
  readonly limitMs: number;
  readonly #startsAnew: boolean;
  readonly #slackMs: number;
  #moment: Moment | undefined;
  #madeAt = 0;

  /**
   * @param limitMs from 1
   * @param options `startsAnew`: whether the limit starts again if this program was late
   */
  constructor(limitMs: number, { startsAnew }: { readonly startsAnew: boolean }) {
    this.limitMs = limitMs;
    this.#startsAnew = startsAnew;
    this.#slackMs = Math.min(limitMs / 100, LARGEST_SLACK_MS);
  }

  /**
   * Tells `listener` when the limit has passed from now on, never earlier. The listener must leave the returned moment,
   * and is not told if it leaves before.
   */
  start(listener: DeadlineListener): Moment {
    const now = Date.now();
    // `Math.abs`: the system clock may be set back.
    if (this.#moment === undefined || this.#moment.over || Math.abs(now - this.#madeAt) > this.#slackMs) {
      // One more, because `now` may be up to a millisecond late.
      this.#moment = new Moment(Math.ceil(this.limitMs + this.#slackMs) + 1, this.#startsAnew);
      this.#madeAt = now;
    }
    this.#moment.join(listener);
    return this.#moment;
  }
}

/** The limits of requests that go by the same ones. */
export interface RequestDeadlines {
  readonly connect: Deadline;
  readonly response: Deadline;
  /** `undefined`: there is no limit for a whole request. */
  readonly request: Deadline | undefined;
}

/** The limits of all requests of one engine. Each route may have others. */
export class Deadlines {
  readonly #byLimits = new WeakMap<RequestTimeouts, RequestDeadlines>();

  /** Returns the deadlines for these limits. Requests with the same ones share them. */
  for(limits: RequestTimeouts): RequestDeadlines {
    let deadlines = this.#byLimits.get(limits);
    if (deadlines === undefined) this.#byLimits.set(limits, deadlines = deadlinesFor(limits));
    return deadlines;
  }
}

function deadlinesFor({ connectMs, responseMs, requestMs }: RequestTimeouts): RequestDeadlines {
  return {
    connect: new Deadline(connectMs, { startsAnew: true }),
    response: new Deadline(responseMs, { startsAnew: true }),
    request: requestMs === 0 ? undefined : new Deadline(requestMs, { startsAnew: false }),
  };
}

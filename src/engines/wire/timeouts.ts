/** Limits of time for very many, without a timer for each, and without a look at the clock for each. */

import { isExcused, Lateness, lookPauseMs } from "../../net/fair_limit.ts";

/** Something that can run out of time. It is in one queue at most. */
export abstract class Timed {
  /** Of the queue it is in. */
  queue: TimeoutQueue | undefined;
  previous: Timed | undefined;
  next: Timed | undefined;
  /** In milliseconds of `performance.now()`; 0: its queue has not looked since it was started. */
  endsAt = 0;
  /** How late its queue had run when `endsAt` was set. */
  lateBeforeMs = 0;
  /** Whether its limit has started anew because this program ran late. */
  excused = false;

  /** The limit has passed; the clock has stopped. */
  abstract timedOut(): void;

  /** Whether the clock runs and was started no longer ago than its queue's last look: a second at most. */
  get startedLately(): boolean {
    return this.queue !== undefined && this.endsAt === 0;
  }

  /** Starts the clock anew, if it runs. */
  restartClock(): void {
    this.queue?.start(this);
  }

  /** Stops the clock, if it runs. */
  stopClock(): void {
    this.queue?.remove(this);
  }
}

/**
 * One limit. Whoever starts last ends last, so a list in the order of starts is one in the order of ends. While there
 * is anybody in it, the queue looks at the clock now and then: it gives those that are new their end, and ends those
 * whose end has come. So starting and stopping are a few assignments each, and a limit is never cut short but may be
 * overrun by two pauses between looks. The looks also show how late this program itself ran: see `net/fair_limit.ts`.
 */
export class TimeoutQueue {
  #limitMs: number;
  #first: Timed | undefined;
  #last: Timed | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #lateness = new Lateness();
  readonly #startsAnew: boolean;
  /** The time of the last look that found somebody at the end. */
  #overAt = 0;

  /**
   * @param limitMs 0: no limit
   * @param options `startsAnew`: whether a limit does so, once, where this program ran late; for what is held against
   * backends
   */
  constructor(limitMs: number, { startsAnew = false }: { readonly startsAnew?: boolean } = {}) {
    this.#limitMs = limitMs;
    this.#startsAnew = startsAnew;
  }

  /** The one whose clock has run for longest. */
  get oldest(): Timed | undefined {
    return this.#first;
  }

  /** Another limit: for those that start from now on, and for those under way from now on. */
  configure(limitMs: number): void {
    if (limitMs === this.#limitMs) return;
    this.#limitMs = limitMs;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let entry = this.#first; entry !== undefined; entry = entry.next) entry.endsAt = 0;
    if (this.#first !== undefined) this.#pause();
  }

  /** Starts an entry's clock; one that ran, in any queue, is stopped. */
  start(entry: Timed): void {
    entry.queue?.remove(entry);
    entry.queue = this;
    entry.endsAt = 0;
    entry.excused = false;
    entry.previous = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    if (this.#timer === undefined) this.#pause();
  }

  /** As `Timed.stopClock`. */
  remove(entry: Timed): void {
    const { previous, next } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.queue = entry.previous = entry.next = undefined;
  }

  /** Clears the timer. Nobody times out any more. */
  close(): void {
    this.#limitMs = 0;
    clearTimeout(this.#timer);
  }

  #pause(): void {
    if (this.#limitMs === 0) return;
    const pauseMs = lookPauseMs(this.#limitMs);
    this.#lateness.expect(pauseMs);
    this.#timer = setTimeout(this.#look, pauseMs);
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    this.#lateness.arrived(now);
    for (let entry = this.#last; entry?.endsAt === 0; entry = entry.previous) {
      entry.endsAt = now + this.#limitMs;
      entry.lateBeforeMs = this.#lateness.totalMs;
    }
    if (this.#first === undefined) return;
    if (!isOver(this.#first, now)) return this.#pause();
    this.#overAt = now;
    this.#timer = setTimeout(this.#judge, 0); // what has come by now is seen to before that
  };

  readonly #judge = (): void => {
    this.#timer = undefined;
    for (let entry = this.#first; entry !== undefined && isOver(entry, this.#overAt); entry = this.#first) {
      const isLate = isExcused(this.#lateness.totalMs - entry.lateBeforeMs, this.#limitMs);
      if (this.#startsAnew && !entry.excused && isLate) {
        this.start(entry);
        entry.excused = true;
      } else {
        this.remove(entry);
        entry.timedOut();
      }
    }
    if (this.#first !== undefined && this.#timer === undefined) this.#pause(); // one that was started just now may have
  };
}

/** One that was started by another's timeout just now has no end yet. */
function isOver({ endsAt }: Timed, now: number): boolean {
  return endsAt !== 0 && endsAt <= now;
}

/** Time limits for very many connections and requests, without a timer or a look at the clock for each. */

import { isExcused, Lateness, lookPauseMs } from "../../net/fair_limit.ts";

/** Something with a time limit. It is in at most one queue. */
export abstract class Timed {
  /** The queue that it is in. */
  queue: TimeoutQueue | undefined;
  previous: Timed | undefined;
  next: Timed | undefined;
  /** In milliseconds of `performance.now()`; 0: its queue has not looked since its start. */
  endsAt = 0;
  /** How late its queue had been in total when `endsAt` was set. */
  lateBeforeMs = 0;
  /** Whether its limit was started again because this program was late. */
  excused = false;

  /** Called when the limit has passed. The clock has stopped. */
  abstract timedOut(): void;

  /** Whether the clock runs and its queue has not looked since it was started, which is at most a second. */
  get startedLately(): boolean {
    return this.queue !== undefined && this.endsAt === 0;
  }

  /** Starts the clock again, if it runs. */
  restartClock(): void {
    this.queue?.start(this);
  }

  /** Stops the clock, if it runs. */
  stopClock(): void {
    this.queue?.remove(this);
  }
}

/** How many entries end in one turn of the event loop. What follows from an end takes up to 0.3 ms. */
const MOST_AT_ONCE = 64;

/**
 * One time limit. Entries end in the order in which they started, so one list serves both orders. While the list has
 * entries, the queue looks at the clock from time to time. It sets the end of new entries, and ends those that are
 * over. So starting and stopping cost only a few assignments. A limit is never too short, but may be too long by two
 * pauses between looks. The looks also show how late this program itself was: see `net/fair_limit.ts`.
 */
export class TimeoutQueue {
  #limitMs: number;
  #first: Timed | undefined;
  #last: Timed | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #lateness = new Lateness();
  readonly #startsAnew: boolean;
  /** The time of the last look that found an entry over its limit. */
  #overAt = 0;

  /**
   * @param limitMs 0: no limit
   * @param options `startsAnew`: whether a limit starts again, once, if this program was late. For limits that count
   * against backends
   */
  constructor(limitMs: number, { startsAnew = false }: { readonly startsAnew?: boolean } = {}) {
    this.#limitMs = limitMs;
    this.#startsAnew = startsAnew;
  }

  /** Whether a timer is set: there are entries, or there were some a moment ago. */
  get running(): boolean {
    return this.#timer !== undefined;
  }

  /** The entry whose clock has run for longest. */
  get oldest(): Timed | undefined {
    return this.#first;
  }

  /** Changes the limit. It applies to entries that start from now on. Running ones start again with it. */
  configure(limitMs: number): void {
    if (limitMs === this.#limitMs) return;
    this.#limitMs = limitMs;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let entry = this.#first; entry !== undefined; entry = entry.next) entry.endsAt = 0;
    if (this.#first !== undefined) this.#pause();
  }

  /** Starts the clock of an entry. A clock that it has in any queue is stopped. */
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

  /** Like `Timed.stopClock`. */
  remove(entry: Timed): void {
    const { previous, next } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.queue = entry.previous = entry.next = undefined;
  }

  /** Clears the timer. No entry times out any more. */
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
    this.#timer = setTimeout(this.#judge, 0); // what has arrived by now is read before that
  };

  readonly #judge = (): void => {
    this.#timer = undefined;
    let ended = 0;
    for (let entry = this.#first; entry !== undefined && isOver(entry, this.#overAt); entry = this.#first) {
      if (++ended > MOST_AT_ONCE) {
        clearTimeout(this.#timer); // starting an entry may have set it
        this.#timer = setTimeout(this.#judge, 0);
        return;
      }
      const isLate = isExcused(this.#lateness.totalMs - entry.lateBeforeMs, this.#limitMs);
      if (this.#startsAnew && !entry.excused && isLate) {
        this.start(entry);
        entry.excused = true;
      } else {
        this.remove(entry);
        entry.timedOut();
      }
    }
    if (this.#first !== undefined && this.#timer === undefined) this.#pause(); // starting an entry may have set it
  };
}

/** Whether an entry is over. One that another's timeout has just started has no end yet. */
function isOver({ endsAt }: Timed, now: number): boolean {
  return endsAt !== 0 && endsAt <= now;
}

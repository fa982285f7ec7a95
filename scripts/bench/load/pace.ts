/** When requests of a fixed rate are due, and from when on each is timed. Pure. */

/**
 * How late the generator may be because of itself, in milliseconds. Timers of the runtime have a resolution of about
 * one millisecond, and what is due between two ticks is sent with the second.
 */
const grainMs = 2;

/** A schedule of requests that takes no notice of answers. Times are in milliseconds from its beginning. */
export class Pace {
  readonly #intervalMs: number;
  readonly #count: number;
  #released = 0;

  /** `perSecond` requests every second, `count` in all. */
  constructor(perSecond: number, count: number) {
    this.#intervalMs = 1_000 / perSecond;
    this.#count = count;
  }

  /** Whether all have been released. */
  get isOver(): boolean {
    return this.#released >= this.#count;
  }

  /**
   * How many are due by `now` and were not released before; they now are. `release` gets of each its number from 0 and
   * the time from which its answer counts: now, or so much earlier as the generator was late beyond its grain. So a
   * generator or a proxy that stalls does not hide what a client would have waited.
   */
  releaseDue(now: number, release: (index: number, since: number) => void): void {
    while (!this.isOver && this.#released * this.#intervalMs <= now) {
      const lateMs = now - this.#released * this.#intervalMs;
      release(this.#released++, now - Math.max(0, lateMs - grainMs));
    }
  }
}

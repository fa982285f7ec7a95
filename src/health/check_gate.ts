/** Limits how many checks run at a time: too many at once would slow each other down and fail. */

/** Checks in flight, of all backends. */
export const MOST_CHECKS = 100;

/** First checks are spread by this many milliseconds each: a second for every thousand. */
const FIRST_APART_MS = 1;

/** First checks begin together in groups of this many milliseconds. */
const GROUP_MS = 10;

/** The longest spread, even if the system clock is set back. */
const LONGEST_SPREAD_MS = 60_000;

/** Lets `MOST_CHECKS` checks run at a time; others wait in order. Says for each first check when it begins. */
export class CheckGate {
  #inFlight = 0;
  readonly #waiting = new Set<() => void>();
  #nextFirstAtMs = 0;

  /**
   * Waits for a place, which `leave` gives back; resolves with `false`, without a place, when `stopped` fires first.
   */
  enter(stopped: AbortSignal): Promise<boolean> {
    if (stopped.aborted) return Promise.resolve(false);
    if (this.#inFlight < MOST_CHECKS) {
      this.#inFlight++;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const giveUp = () => {
        this.#waiting.delete(takePlace);
        resolve(false);
      };
      const takePlace = () => {
        stopped.removeEventListener("abort", giveUp);
        resolve(true);
      };
      this.#waiting.add(takePlace);
      stopped.addEventListener("abort", giveUp);
    });
  }

  /** Gives the place to the check that has waited longest. */
  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#inFlight--;
    else {
      this.#waiting.delete(next);
      next();
    }
  }

  /** How long the next first check must wait, so that first checks are spread. */
  firstDelayMs(nowMs: number): number {
    const aheadMs = this.#nextFirstAtMs - nowMs;
    if (aheadMs < 0 || aheadMs > LONGEST_SPREAD_MS) this.#nextFirstAtMs = nowMs;
    const delayMs = Math.floor((this.#nextFirstAtMs - nowMs) / GROUP_MS) * GROUP_MS;
    this.#nextFirstAtMs += FIRST_APART_MS;
    return delayMs;
  }
}

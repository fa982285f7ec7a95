/** How many checks are made at a time: very many at once would take each other's time and fail. */

/** Checks in flight, of all backends. */
export const MOST_CHECKS = 100;

/** First checks are spread by this many milliseconds each: a second for every thousand. */
const FIRST_APART_MS = 1;

/** First checks begin together in groups of this many milliseconds. */
const GROUP_MS = 10;

/** A spread is never longer, whatever the system clock does. */
const LONGEST_SPREAD_MS = 60_000;

/** Lets in `MOST_CHECKS` at a time, the others in the order they came; tells each first check when to begin. */
export class CheckGate {
  #inFlight = 0;
  readonly #waiting = new Set<() => void>();
  #nextFirstAtMs = 0;

  /** Waits for a place, which `leave` gives back; resolves with `false`, without a place, when `stopped` fires first. */
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

  /** Hands the place to who has waited for longest. */
  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#inFlight--;
    else {
      this.#waiting.delete(next);
      next();
    }
  }

  /** How long the next first check has to wait, so that many are spread. */
  firstDelayMs(nowMs: number): number {
    const aheadMs = this.#nextFirstAtMs - nowMs;
    if (aheadMs < 0 || aheadMs > LONGEST_SPREAD_MS) this.#nextFirstAtMs = nowMs;
    const delayMs = Math.floor((this.#nextFirstAtMs - nowMs) / GROUP_MS) * GROUP_MS;
    this.#nextFirstAtMs += FIRST_APART_MS;
    return delayMs;
  }
}

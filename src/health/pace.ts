/** When a backend is checked again. */

/** The first pause after a backend went down; each further one is twice as long, up to the interval. */
export const QUICK_MS = 250;

/**
 * The pauses between the checks of one backend. A backend that is up is checked at the interval. One that went down is
 * checked soon and then less and less often, so that a short outage ends soon.
 */
export class Pace {
  #quickMs = QUICK_MS;
  /** `undefined`: it has not come back yet. */
  #backSinceMs: number | undefined;

  /**
   * The backend went down. If it came back less than an interval ago, its pauses continue where they were: it passes
   * checks but refuses requests, so each return costs requests.
   */
  wentDown(nowMs: number, intervalMs: number): void {
    const backForMs = this.#backSinceMs === undefined ? Infinity : nowMs - this.#backSinceMs;
    if (backForMs < 0 || backForMs >= intervalMs) this.#quickMs = QUICK_MS;
  }

  cameUp(nowMs: number): void {
    this.#backSinceMs = nowMs;
  }

  /** Takes the next pause of a backend that is down, at most `longestMs`. */
  takeQuick(longestMs: number): number {
    const pauseMs = Math.min(this.#quickMs, longestMs);
    if (this.#quickMs <= longestMs) this.#quickMs *= 2;
    return pauseMs;
  }
}

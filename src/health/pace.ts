/** When a backend is checked again. */

/** The first pause after a backend went down; each further one is twice as long, up to the interval. */
export const QUICK_MS = 250;

/**
 * The pauses between the checks of one backend. Up, it is checked at the interval; once it went down, quickly at first,
 * so that a short absence stays short.
 */
export class Pace {
  #quickMs = QUICK_MS;
  /** `undefined`: it has not come back yet. */
  #backSinceMs: number | undefined;

  /**
   * The backend went down. One that is gone again within an interval goes on where its pauses were: it passes its checks
   * and refuses requests, and each return costs some.
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

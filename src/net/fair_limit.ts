/**
 * Limits of time that know how late this program itself ran.
 *
 * A timer says that time has passed, not that nothing has come: after the event loop was busy, timers fire before what
 * arrived meanwhile is looked at. So a limit that has passed gives the loop one more turn, and where the loop ran late
 * by much of the limit, the limit starts anew, once.
 */

/** A limit is looked at this many times, so that nearly all of the loop's lateness shows … */
const LOOKS = 32;

/** … and at least this often, in milliseconds. */
const LONGEST_PAUSE_MS = 1000;

/** What any timer may be late by, in milliseconds. */
const USUAL_LATENESS_MS = 3;

/** The part of a limit by which the loop may run late without an excuse. */
const TOLERATED_SHARE = 1 / 4;

/** The pause between two looks at a limit. */
export function lookPauseMs(limitMs: number): number {
  return Math.min(Math.ceil(limitMs / LOOKS), LONGEST_PAUSE_MS);
}

/** Whether that much lateness excuses whoever missed the limit. */
export function isExcused(lateMs: number, limitMs: number): boolean {
  return lateMs > limitMs * TOLERATED_SHARE;
}

/** A clock that knows its own lateness: adds up how late timers fired. */
export class Lateness {
  #expectedAtMs = Infinity;
  #totalMs = 0;

  /** All of it so far, in milliseconds. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** A timer was set that is to fire in `ms`. */
  expect(ms: number): void {
    this.#expectedAtMs = performance.now() + ms;
  }

  /** It fired. */
  arrived(nowMs: number): void {
    const lateMs = nowMs - this.#expectedAtMs;
    if (lateMs > USUAL_LATENESS_MS) this.#totalMs += lateMs;
  }
}

/** One limit. Whoever makes it has to `clear` it, unless it passes. */
export class FairLimit {
  readonly #limitMs: number;
  readonly #passed: () => void;
  readonly #lateness = new Lateness();
  #mayStartAnew: boolean;
  #lateBeforeMs = 0;
  #endsAtMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param passed called when the limit has passed
   * @param startsAnew whether it starts anew where this program ran late; for what is held against others
   */
  constructor(limitMs: number, passed: () => void, { startsAnew }: { readonly startsAnew: boolean }) {
    this.#limitMs = limitMs;
    this.#passed = passed;
    this.#mayStartAnew = startsAnew;
    this.#endsAtMs = performance.now() + limitMs;
    this.#pause(limitMs);
  }

  /** Ends it; later calls do nothing. */
  clear(): void {
    clearTimeout(this.#timer);
  }

  #pause(leftMs: number): void {
    const pauseMs = Math.min(lookPauseMs(this.#limitMs), Math.ceil(leftMs));
    this.#lateness.expect(pauseMs);
    this.#timer = setTimeout(this.#look, pauseMs);
  }

  readonly #look = (): void => {
    const nowMs = performance.now();
    this.#lateness.arrived(nowMs);
    if (nowMs < this.#endsAtMs) this.#pause(this.#endsAtMs - nowMs);
    else this.#timer = setTimeout(this.#judge, 0); // what has come by now is seen to before that
  };

  readonly #judge = (): void => {
    const { totalMs } = this.#lateness;
    if (!this.#mayStartAnew || !isExcused(totalMs - this.#lateBeforeMs, this.#limitMs)) return this.#passed();
    this.#mayStartAnew = false;
    this.#lateBeforeMs = totalMs;
    this.#endsAtMs = performance.now() + this.#limitMs;
    this.#pause(this.#limitMs);
  };
}

/** Runs `work` within a limit that starts anew where this program ran late; its signal fires with a `TimeoutError`. */
export async function withinLimit<Result>(
  limitMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const giveUp = () => controller.abort(new DOMException("the limit has passed", "TimeoutError"));
  const limit = new FairLimit(limitMs, giveUp, { startsAnew: true });
  try {
    return await work(controller.signal);
  } finally {
    limit.clear();
  }
}

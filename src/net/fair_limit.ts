/**
 * Time limits that take the lateness of this program into account.
 *
 * A timer says that time has passed, not that nothing has arrived. After the event loop was busy, timers fire before
 * what has arrived meanwhile is looked at. So when a limit has passed, the loop gets one more turn. If the loop ran
 * late by a large part of the limit, the limit starts again, once.
 */

/** A limit is checked this many times, so that nearly all lateness of the loop is seen … */
const LOOKS = 32;

/** … and at least this often, in milliseconds. */
const LONGEST_PAUSE_MS = 1000;

/** Normal lateness of any timer, in milliseconds. */
const USUAL_LATENESS_MS = 3;

/** If the loop runs late by more than this part of a limit, the limit starts again. */
const TOLERATED_SHARE = 1 / 4;

/** The pause between two checks of a limit. */
export function lookPauseMs(limitMs: number): number {
  return Math.min(Math.ceil(limitMs / LOOKS), LONGEST_PAUSE_MS);
}

/** Whether the loop ran so late that the limit starts again. */
export function isExcused(lateMs: number, limitMs: number): boolean {
  return lateMs > limitMs * TOLERATED_SHARE;
}

/** Adds up how late timers fired. */
export class Lateness {
  #expectedAtMs = Infinity;
  #totalMs = 0;

  /** The sum so far, in milliseconds. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** Call it when a timer for `ms` is set. */
  expect(ms: number): void {
    this.#expectedAtMs = performance.now() + ms;
  }

  /** Call it when that timer fires. */
  arrived(nowMs: number): void {
    const lateMs = nowMs - this.#expectedAtMs;
    if (lateMs > USUAL_LATENESS_MS) this.#totalMs += lateMs;
  }
}

/** One limit. Its creator must `clear` it unless it passes. */
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
   * @param startsAnew whether it starts again if this program ran late; for limits that count against a backend
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
    else this.#timer = setTimeout(this.#judge, 0); // what has arrived by now is handled before that
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

/** How long work may go on after its signal has fired, in milliseconds. Work that goes on for longer is given up. */
const GRACE_MS = 1000;

/**
 * Runs `work` within a limit that starts again if this program ran late; its signal fires with a `TimeoutError`. Rejects
 * with the same error if the work does not end then, so that whoever waits for it never waits for ever.
 */
export async function withinLimit<Result>(
  limitMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  let grace: ReturnType<typeof setTimeout> | undefined;
  const giveUp = () => {
    const reason = new DOMException("the limit has passed", "TimeoutError");
    controller.abort(reason);
    grace = setTimeout(() => reject(reason), GRACE_MS);
  };
  const limit = new FairLimit(limitMs, giveUp, { startsAnew: true });
  try {
    return await Promise.race([work(controller.signal), givenUp]);
  } finally {
    limit.clear();
    clearTimeout(grace);
  }
}

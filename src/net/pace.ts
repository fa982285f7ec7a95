/** Keeps those whose next byte is always there from having the event loop to themselves. */

import { Doorbell } from "./doorbell.ts";

/** So often it is asked whether the runtime has looked at other sockets; it has as long to answer. */
const MOST_BUSY_MS = 5;

/** Steps of the promises of whoever goes on until it has done its part. */
const STEPS = 4;

/**
 * Shared by all who relay in an isolate. Reads and writes that are ready at once never give the event loop a turn, and
 * a loop that is never idle looks at other sockets only now and then: with one fast download, others waited for seconds.
 *
 * While anybody relays, the doorbell is rung every 5 ms. Mostly it is heard in time, and nobody has to wait. When it is
 * not, all who relay wait until it is.
 */
export class Pace implements Disposable {
  readonly #waiting: (() => void)[] = [];
  #rangAt = 0;
  #ringing = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #doorbell: Doorbell | undefined;

  /** Without a doorbell a timer has to do, for which the processor is idle for 2 ms. */
  static async start(): Promise<Pace> {
    return new Pace(await Doorbell.install());
  }

  constructor(doorbell: Doorbell | undefined) {
    this.#doorbell = doorbell;
  }

  /** To be asked before each part of the work. `undefined`: go on at once; else go on when it settles. */
  pause(): Promise<void> | undefined {
    if (this.#closed || performance.now() - this.#rangAt < MOST_BUSY_MS) return undefined;
    if (this.#ringing) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#ring();
    return undefined;
  }

  /** Nobody waits any more. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#doorbell?.[Symbol.dispose]();
    for (const goOn of this.#waiting.splice(0)) goOn();
  }

  #ring(): void {
    this.#ringing = true;
    this.#rangAt = performance.now();
    if (this.#doorbell === undefined) this.#timer = setTimeout(this.#heard, 0);
    else this.#doorbell.ring().then(this.#heard, this.#broken);
  }

  readonly #broken = (): void => {
    if (this.#closed) return;
    this.#doorbell?.[Symbol.dispose]();
    this.#doorbell = undefined;
    this.#ring();
  };

  /** Those who wait go on one after the other: a thousand parts at once would take far longer than a turn may. */
  readonly #heard = async (): Promise<void> => {
    this.#ringing = false;
    const begun = performance.now();
    while (this.#waiting.length > 0 && !this.#closed) {
      if (performance.now() - begun >= MOST_BUSY_MS) {
        if (!this.#ringing) this.#ring();
        return;
      }
      this.#waiting.shift()?.();
      for (let step = 0; step < STEPS; step++) await undefined;
    }
  };
}

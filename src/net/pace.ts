/** Keeps a fast peer, whose next byte is always ready, from blocking the event loop. */

import { Doorbell } from "./doorbell.ts";

/** How often the doorbell is rung, and how long it may take until all relays wait for it. */
const MOST_BUSY_MS = 5;

/** Turns of the microtask queue that a relay needs for its part of the work. */
const STEPS = 4;

/**
 * Shared by all relays of an isolate. Reads and writes that are ready never give the event loop a turn, and a loop that
 * is never idle rarely looks at other sockets. With one fast download, other clients waited for seconds.
 *
 * While a relay runs, the doorbell is rung every 5 ms. Usually its byte arrives in time, and no relay waits. If it is
 * late, all relays wait until it has arrived.
 */
export class Pace implements Disposable {
  readonly #waiting: (() => void)[] = [];
  #rangAt = 0;
  #ringing = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #doorbell: Doorbell | undefined;

  /** Without a doorbell, a timer is used, which leaves the processor idle for 2 ms. */
  static async start(): Promise<Pace> {
    return new Pace(await Doorbell.install());
  }

  constructor(doorbell: Doorbell | undefined) {
    this.#doorbell = doorbell;
  }

  /** Call it before each part of the work. `undefined`: continue at once; otherwise continue when it settles. */
  pause(): Promise<void> | undefined {
    if (this.#closed || performance.now() - this.#rangAt < MOST_BUSY_MS) return undefined;
    if (this.#ringing) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#ring();
    return undefined;
  }

  /** Ends all waits. */
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

  /** Waiting relays continue one after the other: a thousand parts at once would take far too long for one turn. */
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

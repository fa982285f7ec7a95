/** How many connections to one backend are made at the same time. */

/** More would overflow listen queues of the usual length (128 and up): the system tries those again a second later. */
const MOST_DIALS = 100;

/** Lets so many dial at once; the rest wait in the order they came. */
export class DialGate {
  #dialing = 0;
  readonly #waiting: (() => void)[] = [];

  /** Whether nobody dials or waits. */
  get unused(): boolean {
    return this.#dialing === 0 && this.#waiting.length === 0;
  }

  get full(): boolean {
    return this.#dialing >= MOST_DIALS;
  }

  /** Waits until another has dialled, or `letOneIn` is called. Rejects when `signal` fires first. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const goOn = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        const at = this.#waiting.indexOf(goOn);
        if (at !== -1) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      this.#waiting.push(goOn);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** Dials; the next in the queue follows when that has ended, well or not. */
  async through<Result>(dial: () => Promise<Result>): Promise<Result> {
    this.#dialing++;
    try {
      return await dial();
    } finally {
      this.#dialing--;
      this.letOneIn();
    }
  }

  letOneIn(): void {
    this.#waiting.shift()?.();
  }
}

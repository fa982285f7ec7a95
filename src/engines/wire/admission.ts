/** Limits how many requests are processed at once, so that none starves. */

/** If there are fewer requests than this, running or waiting, none has to wait. */
const FEW = 100;

/** If there are more, this many are processed at once. */
const MOST_AT_WORK = 32;

/** How often to check whether the running requests only wait for their backends, in milliseconds. */
const LOOK_MS = 1;

/** If a check is later than planned by more than this, the program counts as busy. In milliseconds. */
const LATE_MS = 1;

/** While the program is busy, this many checks in a row must find that no request has ended. */
const STILL_LOOKS = 3;

/**
 * The longest round while requests wait. Without this limit, a few slow requests could take up places while others end
 * all the time.
 */
const ROUND_MS = 10;

/**
 * Admits requests in the order in which they arrive.
 *
 * The runtime completes 128 operations at a time. If more are ready, it takes the newest of them first the next time.
 * With thousands of clients, a few would be served again and again, while the others, and new connections, would wait
 * for seconds. So requests wait here, in order.
 *
 * This does not limit how many requests are in flight. If no running request has ended for a moment, all of them wait
 * for their backends, so there is time for others. Then the round is over: its requests no longer count, and a new
 * round begins. A round also ends after 10 ms.
 */
export class Admission {
  /** Requests that wait. While there are any, the timer runs. */
  readonly #waiting: ((round: number) => void)[] = [];
  /** Running requests of all rounds. */
  #inFlight = 0;
  #round = 0;
  /** Running requests of this round. */
  #atWork = 0;
  /** Whether a request of this round has ended since the last check. */
  #anyEnded = false;
  #stillLooks = 0;
  #roundEnds = 0;
  #lookDue = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether a request may begin at once. */
  get free(): boolean {
    return this.#areFew || this.#atWork < MOST_AT_WORK;
  }

  /** Begins a request at once. Returns the value for `end`. */
  begin(): number {
    this.#inFlight++;
    this.#atWork++;
    return this.#round;
  }

  /** Like `begin`, but waits until the request is admitted. */
  wait(): Promise<number> {
    if (this.#waiting.length === 0) {
      this.#roundEnds = performance.now() + ROUND_MS;
      this.#lookLater();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends a request that had begun. */
  end(round: number): void {
    this.#inFlight--;
    if (round === this.#round) {
      this.#atWork--;
      this.#anyEnded = true;
    }
    this.#admit();
  }

  get #areFew(): boolean {
    return this.#inFlight + this.#waiting.length < FEW;
  }

  #admit(): void {
    while (this.#waiting.length > 0 && (this.#atWork < MOST_AT_WORK || this.#areFew)) {
      this.#waiting.shift()?.(this.begin());
    }
    if (this.#waiting.length > 0 || this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookLater(): void {
    this.#lookDue = performance.now() + LOOK_MS;
    this.#timer = setTimeout(this.#look, LOOK_MS);
  }

  readonly #look = (): void => {
    this.#stillLooks = this.#anyEnded ? 0 : this.#stillLooks + 1;
    this.#anyEnded = false;
    const now = performance.now();
    const busy = now > this.#lookDue + LATE_MS;
    if (this.#stillLooks >= (busy ? STILL_LOOKS : 1) || now >= this.#roundEnds) {
      this.#stillLooks = 0;
      this.#roundEnds = now + ROUND_MS;
      this.#round++;
      this.#atWork = 0;
      this.#admit();
    }
    if (this.#waiting.length > 0) this.#lookLater();
  };
}

/** How many requests are worked on at the same time, so that all get on. */

/** Up to so many requests, at work or waiting, none has to wait. */
const FEW = 100;

/** Of more than a few, so many are worked on at the same time. */
const MOST_AT_WORK = 32;

/** How often it is looked whether those at work only wait for their backends, in milliseconds … */
const LOOK_MS = 1;

/** … and how much later than that a look may come before the program counts as busy. */
const LATE_MS = 1;

/** So many looks in a row must have seen no end while the program is busy. */
const STILL_LOOKS = 3;

/** A round lasts no longer while others wait: some of its requests may take long though others end all the time. */
const ROUND_MS = 10;

/**
 * Admits requests to be worked on, in the order in which they come.
 *
 * The runtime completes 128 operations in one go; of those that are ready beyond that it takes the newest first the
 * next time. With thousands of clients a few would be served over and over while the others wait for seconds, and new
 * connections with them. So the others wait here.
 *
 * This never limits how many requests are in flight: when none of those at work has ended for a moment, they wait for
 * their backends, so there is time for others. They make up a round that is counted no more, and a new one begins; in
 * any case it does after 10 ms.
 */
export class Admission {
  /** While there is one, the timer runs. */
  readonly #waiting: ((round: number) => void)[] = [];
  /** Of all rounds. */
  #inFlight = 0;
  #round = 0;
  /** Of this round. */
  #atWork = 0;
  /** Since the last look; of this round. */
  #anyEnded = false;
  #stillLooks = 0;
  #roundEnds = 0;
  #lookDue = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether one may begin at once. */
  get free(): boolean {
    return this.#areFew || this.#atWork < MOST_AT_WORK;
  }

  /** Begins at once. Returns what `end` has to be told. */
  begin(): number {
    this.#inFlight++;
    this.#atWork++;
    return this.#round;
  }

  /** As `begin`, once one is admitted. */
  wait(): Promise<number> {
    if (this.#waiting.length === 0) {
      this.#roundEnds = performance.now() + ROUND_MS;
      this.#lookLater();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** One that had begun is over. */
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
    if (this.#waiting.length > 0) return;
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

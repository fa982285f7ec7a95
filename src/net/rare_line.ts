/** A log line for an event that may happen thousands of times a second. */

/** The shortest time between two lines. */
const APART_MS = 1000;

/** Logs the first event at once, and then at most once a second how many there were since. */
export class RareLine {
  readonly #tell: (reason: string, times: number) => void;
  #reason = "";
  #untold = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param tell writes the line: the latest reason, and the number of events since the last line */
  constructor(tell: (reason: string, times: number) => void) {
    this.#tell = tell;
  }

  happened(reason: string): void {
    this.#reason = reason;
    this.#untold++;
    if (this.#timer === undefined) this.#line();
  }

  /** Logs the events that are not logged yet. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#untold > 0) this.#tell(this.#reason, this.#untold);
    this.#untold = 0;
  }

  #line(): void {
    this.#tell(this.#reason, this.#untold);
    this.#untold = 0;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#untold > 0) this.#line();
    }, APART_MS);
  }
}

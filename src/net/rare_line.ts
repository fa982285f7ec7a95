/** A log line for what may happen thousands of times a second. */

/** Lines of one kind are at least this far apart. */
const APART_MS = 1000;

/** Tells of the first time at once, then at most once a second how often it happened since. */
export class RareLine {
  readonly #tell: (reason: string, times: number) => void;
  #reason = "";
  #untold = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param tell writes the line: the latest reason, and how often it happened since the line before */
  constructor(tell: (reason: string, times: number) => void) {
    this.#tell = tell;
  }

  happened(reason: string): void {
    this.#reason = reason;
    this.#untold++;
    if (this.#timer === undefined) this.#line();
  }

  /** Tells what is untold. */
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

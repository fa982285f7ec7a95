/** Tells a service manager again and again that the program works, so that a hung one is restarted. */

export interface WatchdogOptions {
  /** If the service manager hears nothing for this long, it ends the program. */
  readonly limitMs: number;
  /** Settles if every isolate of the program works. */
  readonly works: () => Promise<unknown>;
  /** Tells the service manager. */
  readonly tell: () => void;
}

/** Tells it twice within the limit. A blocked event loop tells nothing, nor does one whose workers do not answer. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #asking = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#ask(), options.limitMs / 2);
    void this.#ask();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      await this.#options.works();
    } catch {
      return; // asks no more: what fails here does not work any more
    }
    this.#asking = false;
    this.#options.tell();
  }
}

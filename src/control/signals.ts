/** Handles signals, from the first statement of the process on. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/**
 * Signals that are ignored. They would otherwise end the process. Operators send them to many processes at once, or to
 * programs that write logs.
 */
const IGNORED_SIGNALS = ["SIGQUIT", "SIGUSR1"] as const;

/** The signals of the process. A signal that arrives before a listener is set is kept. */
export class Signals {
  /** Resolves at the first signal to stop. A second one ends the process at once. */
  readonly stopped: Promise<Deno.Signal>;
  #stopping = false;
  #hungUp = false;
  #onHangUp: (() => void) | undefined;
  #onUpgrade: () => void = () => {};

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
    this.stopped = promise;
    for (const signal of STOP_SIGNALS) {
      Deno.addSignalListener(signal, () => {
        if (this.#stopping) Deno.exit(1);
        this.#stopping = true;
        resolve(signal);
      });
    }
    Deno.addSignalListener("SIGHUP", () => {
      this.#hungUp = true;
      this.#tell();
    });
    Deno.addSignalListener("SIGUSR2", () => this.#onUpgrade());
    for (const signal of IGNORED_SIGNALS) Deno.addSignalListener(signal, () => {});
  }

  /** Whether a signal to stop has arrived. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Calls `listener` at each SIGHUP from now on. If any arrived before, calls it once now. */
  onHangUp(listener: () => void): void {
    this.#onHangUp = listener;
    this.#tell();
  }

  /** Calls `listener` at each SIGUSR2 from now on. Earlier ones were ignored. */
  onUpgrade(listener: () => void): void {
    this.#onUpgrade = listener;
  }

  #tell(): void {
    if (!this.#hungUp || this.#onHangUp === undefined) return;
    this.#hungUp = false;
    this.#onHangUp();
  }
}

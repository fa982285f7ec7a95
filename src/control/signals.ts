/** What signals to the process mean, from its first statement on. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** They would end the process, and yet operators send them to others by the same name: all of them, or a log's writer. */
const IGNORED_SIGNALS = ["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** The signals of the process. What comes before anybody asks is kept. */
export class Signals {
  /** The first signal to stop; a second one ends the process at once. */
  readonly stopped: Promise<Deno.Signal>;
  #stopping = false;
  #hungUp = false;
  #onHangUp: (() => void) | undefined;

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
    for (const signal of IGNORED_SIGNALS) Deno.addSignalListener(signal, () => {});
  }

  /** Whether a signal to stop has come. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Calls `listener` at each SIGHUP from now on, and now if one has come before: once, however many they were. */
  onHangUp(listener: () => void): void {
    this.#onHangUp = listener;
    this.#tell();
  }

  #tell(): void {
    if (!this.#hungUp || this.#onHangUp === undefined) return;
    this.#hungUp = false;
    this.#onHangUp();
  }
}

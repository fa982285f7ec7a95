/** Does something once a day. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";

/** A longer timer would overflow, and would miss the time in which the machine sleeps. */
const DAY_MS = 86_400_000;

/** Calls a function once a day, until it is stopped. Errors are logged. */
export class Daily {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #look: () => void | Promise<void>;
  #cancel: () => void;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }, look: () => void | Promise<void>) {
    this.#clock = clock;
    this.#log = log;
    this.#look = look;
    this.#cancel = this.#later();
  }

  /** Whether it was stopped. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Settles when the last call has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#looking;
  }

  #later(): () => void {
    return this.#clock.after(DAY_MS, () => this.#looking = this.#now());
  }

  async #now(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#log.error("certificate", { error: messageOf(error) });
    }
    if (!this.#stopped) this.#cancel = this.#later();
  }
}

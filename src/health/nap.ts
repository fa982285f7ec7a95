/** A pause that may be shortened. */

import type { Clock } from "../net/clock.ts";

export class Nap {
  readonly #clock: Clock;
  #endsAtMs = 0;
  #cancel: (() => void) | undefined;
  #resolve: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isUnderWay(): boolean {
    return this.#cancel !== undefined;
  }

  /** Resolves after `ms`, or when it is shortened or ended. One at a time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#arm(ms);
    });
  }

  /** Ends a pause under way after `ms` at the latest; returns whether that is sooner than it would have ended. */
  shorten(ms: number): boolean {
    if (this.#cancel === undefined) return false;
    const leftMs = this.#endsAtMs - this.#clock.now();
    if (leftMs >= 0 && leftMs <= ms) return false;
    this.#cancel();
    this.#arm(ms);
    return true;
  }

  /** Ends a pause under way now. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#resolve();
  }

  #arm(ms: number): void {
    this.#endsAtMs = this.#clock.now() + ms;
    this.#cancel = this.#clock.after(ms, () => this.end());
  }
}

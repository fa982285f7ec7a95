/** Time that passes when a test says so. */

/** Replaces the clock and the timers of the system until it is disposed of. */
export class FakeTime implements Disposable {
  readonly #real = { now: performance.now, setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  readonly timers = new Map<number, { readonly at: number; readonly callback: () => void }>();
  #now = 1000;
  #last = 0;

  constructor() {
    performance.now = () => this.#now;
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, ms: number) => {
        this.timers.set(++this.#last, { at: this.#now + ms, callback });
        return this.#last;
      },
      clearTimeout: (id: number) => void this.timers.delete(id),
    });
  }

  /** Lets time pass. Timers that are due are called at their time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (true) {
      const due = [...this.timers].filter(([, { at }]) => at <= end).sort(([, one], [, other]) => one.at - other.at)[0];
      if (due === undefined) break;
      const [id, { at, callback }] = due;
      this.timers.delete(id);
      this.#now = Math.max(this.#now, at);
      callback();
    }
    this.#now = end;
  }

  /** Lets time pass while the program is busy. Timers that were due are called at the next `advance`. */
  stall(ms: number): void {
    this.#now += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#real.now;
    Object.assign(globalThis, { setTimeout: this.#real.setTimeout, clearTimeout: this.#real.clearTimeout });
  }
}

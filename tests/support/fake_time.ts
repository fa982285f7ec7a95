/** Time that passes when a test says so. */

/** Puts the system's clock and timers into a test's hands for as long as it lives. */
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

  /** Lets time pass; what is due by then is called at its time. */
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

  /** Time passes while the program is busy: what was due meanwhile is called at the next `advance`. */
  stall(ms: number): void {
    this.#now += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#real.now;
    Object.assign(globalThis, { setTimeout: this.#real.setTimeout, clearTimeout: this.#real.clearTimeout });
  }
}

/** Whether all listeners of a kind can accept clients. */

/** Told by listeners when they can't accept, and when they can again. */
export class Listeners {
  readonly #failing = new Set<unknown>();
  readonly #changed: (accepting: boolean) => void;

  /** @param changed told when the first one can't accept, and when all can again */
  constructor(changed: (accepting: boolean) => void = () => {}) {
    this.#changed = changed;
  }

  /** Whether all of them can accept clients. */
  get accepting(): boolean {
    return this.#failing.size === 0;
  }

  /** What the listener of this name has to tell. */
  set(name: unknown, accepting: boolean): void {
    const before = this.accepting;
    if (accepting) this.#failing.delete(name);
    else this.#failing.add(name);
    if (this.accepting !== before) this.#changed(this.accepting);
  }
}

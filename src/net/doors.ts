/** Knows whether all listeners can accept clients. */

/** Listeners report here when they can't accept clients, and when they can again. */
export class Doors {
  readonly #shut = new Set<unknown>();
  readonly #changed: (open: boolean) => void;

  /** @param changed called when the first listener can't accept, and when all can accept again */
  constructor(changed: (open: boolean) => void = () => {}) {
    this.#changed = changed;
  }

  /** Whether all of them can accept clients. */
  get open(): boolean {
    return this.#shut.size === 0;
  }

  /** Reports the state of the listener of this name. */
  set(name: unknown, open: boolean): void {
    const wereOpen = this.open;
    if (open) this.#shut.delete(name);
    else this.#shut.add(name);
    if (this.open !== wereOpen) this.#changed(this.open);
  }
}

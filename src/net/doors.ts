/** Whether all listeners of a kind can accept clients. */

/** Told by listeners when they can't accept, and when they can again. */
export class Doors {
  readonly #shut = new Set<unknown>();
  readonly #changed: (open: boolean) => void;

  /** @param changed told when the first one is shut, and when all are open again */
  constructor(changed: (open: boolean) => void = () => {}) {
    this.#changed = changed;
  }

  /** Whether all of them can accept clients. */
  get open(): boolean {
    return this.#shut.size === 0;
  }

  /** What the listener of this name has to tell. */
  set(name: unknown, open: boolean): void {
    const wereOpen = this.open;
    if (open) this.#shut.delete(name);
    else this.#shut.add(name);
    if (this.open !== wereOpen) this.#changed(this.open);
  }
}

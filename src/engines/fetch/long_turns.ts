/** Lets uploads in small chunks take long turns of the event loop one after the other. */

/**
 * An upload in small chunks takes up to 30 ms of a turn. With several of them, each turn took the sum, and while one
 * rested another one ran: a new client, who needs a few turns, waited for more than a second. So only one has a long
 * turn at a time, and after it nobody has one for as long.
 */
export class LongTurns implements Disposable {
  readonly #waiting = new Set<() => void>();
  #taken = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `begin` when it is the caller's turn: at once, if nobody has it. Then the caller must call `end`. */
  take(begin: () => void): void {
    if (this.#taken) {
      this.#waiting.add(begin);
      return;
    }
    this.#taken = !this.#closed;
    begin();
  }

  /** Gives up the place of a caller who still waits. Returns whether it waited. */
  withdraw(begin: () => void): boolean {
    return this.#waiting.delete(begin);
  }

  /** Ends the caller's turn. `tookMs`: how long it was. */
  end(tookMs: number): void {
    if (!this.#closed) this.#timer = setTimeout(this.#next, tookMs);
  }

  /** Lets all that wait begin. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#taken = false;
    clearTimeout(this.#timer);
    for (const begin of this.#waiting) begin();
    this.#waiting.clear();
  }

  readonly #next = (): void => {
    const [begin] = this.#waiting;
    this.#taken = begin !== undefined;
    if (begin === undefined) return;
    this.#waiting.delete(begin);
    begin();
  };
}

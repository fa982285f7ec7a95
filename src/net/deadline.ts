/** One limit of time, for one thing at a time. */

export class Deadline {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts anew.
   *
   * @param limitMs 0: no limit
   */
  start(limitMs: number, over: () => void): void {
    this.stop();
    if (limitMs === 0) return;
    this.#timer = setTimeout(() => {
      // After a stall a timer fires before bytes that are ready are read: one more turn, and they count first.
      this.#timer = setTimeout(over, 0);
    }, limitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

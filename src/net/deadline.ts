/** One time limit, used for one operation at a time. */

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
      // After a stall, the timer fires before bytes that are ready are read. One more turn lets them count first.
      this.#timer = setTimeout(over, 0);
    }, limitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

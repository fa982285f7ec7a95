/** Lets large answers begin a few at a time. */

/** Answers of at least this size count as large. Smaller ones fit into the buffers of a few packets. */
const LARGE_BYTES = 1 << 18;

/** The most bytes of one answer that the buffers of both connections take at once, without anybody who reads. */
const BURST_BYTES = 4 << 20;

/** How many bytes may be moved in one turn of the event loop. It takes about 10 ms. */
const BYTES_PER_TURN = 32 << 20;

/**
 * The runtime moves a body until the buffers of the client's connection are full, whoever else waits. When hundreds of
 * clients ask for large bodies at the same moment, one turn of the event loop takes more than a second. So only a few
 * large answers begin in each turn.
 */
export class LargeAnswers implements Disposable {
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #leftBytes = BYTES_PER_TURN;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Call it before an answer is handed to the runtime.
   *
   * @param bytes the length of the body; `undefined`: unknown. Most such bodies are short
   * @returns `undefined`: it may begin at once; otherwise it may begin when the promise settles
   */
  turnFor(bytes: number | undefined): Promise<void> | undefined {
    if (bytes !== undefined && bytes < LARGE_BYTES) return undefined;
    const burst = Math.min(bytes ?? LARGE_BYTES, BURST_BYTES);
    this.#awaitTurn();
    if (this.#waiting.length === 0 && this.#leftBytes > 0) {
      this.#leftBytes -= burst;
      return undefined;
    }
    return new Promise((begin) => this.#waiting.push({ bytes: burst, begin }));
  }

  #awaitTurn(): void {
    this.#timer ??= setTimeout(this.#turned, 0);
  }

  /** Lets all that wait begin. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const { begin } of this.#waiting.splice(0)) begin();
  }

  readonly #turned = (): void => {
    this.#timer = undefined;
    this.#leftBytes = BYTES_PER_TURN;
    while (this.#leftBytes > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#leftBytes -= next.bytes;
      next.begin();
    }
    this.#awaitTurn();
  };
}

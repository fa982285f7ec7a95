/** Limits of time for very many, without a timer for each. */

/** Something that can run out of time. It is in one queue at most. */
export abstract class Timed {
  /** Of the queue it is in. */
  queue: TimeoutQueue | undefined;
  previous: Timed | undefined;
  next: Timed | undefined;
  startedAt = 0;

  /** The limit has passed; the clock has stopped. */
  abstract timedOut(): void;

  /** Stops the clock, if it runs. */
  stopClock(): void {
    this.queue?.remove(this);
  }
}

/**
 * One limit. Whoever starts last ends last, so a list in the order of starts is one in the order of ends, and one timer
 * for its front serves all. Starting and stopping are a few assignments each.
 */
export class TimeoutQueue {
  #limitMs: number;
  #first: Timed | undefined;
  #last: Timed | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param limitMs 0: no limit */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** The one whose clock has run for longest. */
  get oldest(): Timed | undefined {
    return this.#first;
  }

  /** Another limit, for those under way too. */
  configure(limitMs: number): void {
    if (limitMs === this.#limitMs) return;
    this.#limitMs = limitMs;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#look();
  }

  /** Starts an entry's clock; one that ran, in any queue, is stopped. */
  start(entry: Timed): void {
    entry.queue?.remove(entry);
    entry.queue = this;
    entry.startedAt = performance.now();
    entry.previous = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    if (this.#limitMs > 0) this.#timer ??= setTimeout(this.#look, this.#limitMs);
  }

  /** As `Timed.stopClock`. */
  remove(entry: Timed): void {
    const { previous, next } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    entry.queue = entry.previous = entry.next = undefined;
  }

  /** Clears the timer. Nobody times out any more. */
  close(): void {
    this.#limitMs = 0;
    clearTimeout(this.#timer);
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    if (this.#limitMs === 0) return;
    const since = performance.now() - this.#limitMs;
    let entry = this.#first;
    while (entry !== undefined && entry.startedAt <= since) {
      this.remove(entry);
      entry.timedOut();
      entry = this.#first;
    }
    if (entry === undefined) return;
    clearTimeout(this.#timer); // who timed out may have started another clock here, and with it a timer
    this.#timer = setTimeout(this.#look, Math.ceil(entry.startedAt - since));
  };
}

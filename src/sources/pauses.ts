/** The pauses between the tries of a source that fails. */

const FIRST_MS = 250;
const LONGEST_MS = 10_000;

/** So that many roundhouses do not ask a server that is back all at once. */
const JITTER = 0.2;

/** Grows with each failure in a row. */
export class Pauses {
  readonly #random: () => number;
  #nextMs = FIRST_MS;

  /** @param random from 0 up to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The pause after another failure, in whole milliseconds. */
  next(): number {
    const ms = jittered(this.#nextMs, JITTER, this.#random);
    this.#nextMs = Math.min(this.#nextMs * 2, LONGEST_MS);
    return ms;
  }

  /** Begins again with the shortest pause, because a try has succeeded. */
  reset(): void {
    this.#nextMs = FIRST_MS;
  }
}

/** A time that is moved at random by up to this part of it, in whole milliseconds. */
export function jittered(ms: number, part: number, random: () => number): number {
  return Math.round(ms * (1 + part * (2 * random() - 1)));
}

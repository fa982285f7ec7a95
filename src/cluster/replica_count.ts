/**
 * How many replicas share what is divided among them. More count at once, because each takes its share at once. Fewer
 * count only after a while: a store that was emptied knows of nobody for as long as the others take to come back.
 */

/** A replica that has lost the store tries again within 12 s. */
export const FEWER_AFTER_MS = 15_000;

export class ReplicaCount {
  #value: number;
  /** The most that were heard of since `#fewerSinceMs`. */
  #most = 0;
  /** Since when there have been fewer; `undefined`: there are not. */
  #fewerSinceMs: number | undefined;

  /** @param last what was known when the store was last there */
  constructor(last: number) {
    this.#value = last;
  }

  get value(): number {
    return this.#value;
  }

  /**
   * Takes what a heartbeat told.
   *
   * @param nowMs milliseconds of a clock that is never set back
   */
  heard(replicas: number, nowMs: number): void {
    if (replicas >= this.#value) {
      this.#value = replicas;
      this.#fewerSinceMs = undefined;
      return;
    }
    if (this.#fewerSinceMs === undefined) {
      this.#fewerSinceMs = nowMs;
      this.#most = 1;
    }
    this.#most = Math.max(this.#most, replicas);
    if (nowMs - this.#fewerSinceMs < FEWER_AFTER_MS) return;
    this.#value = this.#most;
    this.#fewerSinceMs = undefined;
  }

  /** The store is away: the last number holds, and nothing is known of what comes after. */
  unknown(): void {
    this.#fewerSinceMs = undefined;
  }
}

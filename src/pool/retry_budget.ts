/**
 * The retry budget: how many requests and retries there were in each of the last seconds, in a part of the shared memory
 * of `shared_state.ts`. A ring an isolate, which only that isolate writes; readers may see a count a moment late.
 */

const LINE = 64; // bytes of a cache line: two isolates never write to the same one

const BUDGET_SECONDS = 10;
const SLOTS = BUDGET_SECONDS + 1; // the current second is not over yet

// Cells of a slot, 64-bit floats.
const SECOND = 0; // which one it counts
const REQUESTS = 1;
const RETRIES = 2;
const CELLS = 3;

/** Bytes of the ring of one isolate, whole cache lines. */
export const RING_BYTES = Math.ceil((SLOTS * CELLS * Float64Array.BYTES_PER_ELEMENT) / LINE) * LINE;

const RING = RING_BYTES / Float64Array.BYTES_PER_ELEMENT;

/** Retries allowed on top of the budget's share, so that a quiet proxy can retry too. */
const BUDGET_FLOOR = 10;

/** One isolate's view of the rings. */
export class RetryBudget {
  readonly #floats: Float64Array;
  readonly #isolates: number;
  readonly #isolate: number;

  /** @param byteOffset where the rings begin in the buffer; they take `isolates` × `RING_BYTES` */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, isolates: number, isolate: number) {
    this.#floats = new Float64Array(buffer, byteOffset, isolates * RING);
    this.#isolates = isolates;
    this.#isolate = isolate;
  }

  countRequest(nowMs: number): void {
    this.#add(REQUESTS, nowMs);
  }

  countRetry(nowMs: number): void {
    this.#add(RETRIES, nowMs);
  }

  /** Whether one more retry stays below `share` × requests + 10, over the last 10 s and all isolates. */
  allows(share: number, nowMs = Date.now()): boolean {
    const oldest = Math.floor(nowMs / 1000) - BUDGET_SECONDS + 1;
    let requests = 0;
    let retries = 0;
    for (let slot = 0; slot < this.#isolates * SLOTS; slot++) {
      const cell = Math.floor(slot / SLOTS) * RING + (slot % SLOTS) * CELLS;
      if ((this.#floats[cell + SECOND] ?? 0) < oldest) continue;
      requests += this.#floats[cell + REQUESTS] ?? 0;
      retries += this.#floats[cell + RETRIES] ?? 0;
    }
    return retries + 1 < share * requests + BUDGET_FLOOR;
  }

  #add(counter: typeof REQUESTS | typeof RETRIES, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const cell = this.#isolate * RING + (second % SLOTS) * CELLS;
    if (this.#floats[cell + SECOND] !== second) {
      this.#floats[cell + SECOND] = second;
      this.#floats[cell + REQUESTS] = 0;
      this.#floats[cell + RETRIES] = 0;
    }
    this.#floats[cell + counter] = (this.#floats[cell + counter] ?? 0) + 1;
  }
}

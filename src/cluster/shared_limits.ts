/** What replicas must agree on to have limits in common: how many there are, and what keys are made with. */

import { RefusedError } from "./redis_link.ts";
import { ReplicaCount } from "./replica_count.ts";
import { MAX_REPLICAS, type Store } from "./store.ts";

/** What outlives a restart. */
export interface KeptLimits {
  /** How many replicas there were. */
  readonly replicas: number;
  /** What keys are made with: 16 hexadecimal digits. */
  readonly seed: string;
}

export class SharedLimits {
  readonly #count: ReplicaCount;
  readonly #changed: () => void;
  #seed: string;

  /** @param changed called when something else is to be kept */
  constructor({ replicas, seed }: KeptLimits, changed: () => void) {
    this.#count = new ReplicaCount(replicas);
    this.#seed = seed;
    this.#changed = changed;
  }

  /** Without the store, what it told last. */
  get kept(): KeptLimits {
    return { replicas: this.#count.value, seed: this.#seed };
  }

  /** Takes over the seed of the others. */
  async agree(store: Store): Promise<void> {
    try {
      const seed = await store.seed(this.#seed);
      if (seed === this.#seed) return;
      this.#seed = seed;
      this.#changed();
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error; // a store that takes no writes may still be read
    }
  }

  heard(replicas: number): void {
    const before = this.#count.value;
    this.#count.heard(Math.min(replicas, MAX_REPLICAS), performance.now());
    if (this.#count.value !== before) this.#changed();
  }

  /** The store is away. */
  lost(): void {
    this.#count.unknown();
  }
}

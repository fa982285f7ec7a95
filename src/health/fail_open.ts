/**
 * `health.failOpen`: when checks have taken every backend out, checks are more likely to be wrong than all backends.
 */

import type { ServerPool } from "../pool/server_pool.ts";

/** What a `FailOpen` works with. */
export interface FailOpenOptions {
  readonly pool: ServerPool;
  /** `health.failOpen`. */
  readonly enabled: boolean;
  /** Told whenever it begins and ends. */
  readonly onChange: (failingOpen: boolean) => void;
}

/** Watches the pool: lets all backends serve, whatever their health, while none of those that may serve is up. */
export class FailOpen {
  readonly #pool: ServerPool;
  readonly #onChange: (failingOpen: boolean) => void;
  readonly #unsubscribe: () => void;
  #enabled: boolean;

  constructor({ pool, enabled, onChange }: FailOpenOptions) {
    this.#pool = pool;
    this.#enabled = enabled;
    this.#onChange = onChange;
    this.#unsubscribe = pool.subscribe(() => this.#look());
    this.#look();
  }

  /** For a reload. */
  configure(enabled: boolean): void {
    this.#enabled = enabled;
    this.#look();
  }

  /** Stops watching. Backends that serve at that moment continue to serve. */
  stop(): void {
    this.#unsubscribe();
  }

  #look(): void {
    const failingOpen = this.#enabled && this.#isOut();
    if (!this.#pool.shared.cells.setFailingOpen(failingOpen)) return;
    this.#pool.shared.cells.bumpEpoch();
    this.#onChange(failingOpen);
  }

  /** Whether all backends that may serve are down, and not only because none has been checked yet. */
  #isOut(): boolean {
    let takenOut = false;
    for (const { alive, state, weight, lastChange } of this.#pool.backends) {
      if (state !== "active" || weight === 0) continue;
      if (alive) return false;
      takenOut ||= lastChange !== null;
    }
    return takenOut;
  }
}

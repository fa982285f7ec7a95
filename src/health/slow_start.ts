/** Slow start: a backend that is new or comes back gets its weight in steps, so that it can warm up. */

import type { Backend } from "../pool/backend.ts";
import type { PoolEvent, ServerPool } from "../pool/server_pool.ts";
import { FULL_RAMP } from "../memory/setting_cells.ts";
import type { Clock } from "../net/clock.ts";

/** What a `SlowStart` works with. */
export interface SlowStartOptions {
  readonly pool: ServerPool;
  /** Time from one tenth of the weight to all of it; 0: off. */
  readonly durationMs: number;
  readonly clock: Clock;
}

/**
 * Gives each backend that is added, or that comes back after it was down or ejected, one tenth of its weight in the
 * first tenth of the duration, two tenths in the second, and so on. Works from its creation to `stop`. A later
 * `SlowStart` continues the ramps of an earlier one.
 */
export class SlowStart {
  readonly #pool: ServerPool;
  readonly #stepMs: number;
  readonly #clock: Clock;
  /** For each backend that is ramping up, the function that cancels its next step. */
  readonly #cancels = new Map<Backend, () => void>();
  readonly #unsubscribe: () => void;

  constructor({ pool, durationMs, clock }: SlowStartOptions) {
    this.#pool = pool;
    this.#stepMs = durationMs / FULL_RAMP;
    this.#clock = clock;
    this.#unsubscribe = durationMs > 0 ? pool.subscribe((event) => this.#poolChanged(event)) : () => {};
    for (const backend of pool.backends) {
      if (durationMs === 0) pool.setRamp(backend, FULL_RAMP);
      else if (backend.alive) this.#climb(backend);
    }
  }

  /** Clears the timers. Every backend keeps its present part of the weight. */
  stop(): void {
    this.#unsubscribe();
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  #poolChanged({ type, backend }: PoolEvent): void {
    if (type !== "added" && type !== "up" && type !== "down" && type !== "removed") return;
    this.#cancels.get(backend)?.();
    this.#cancels.delete(backend);
    if (type !== "up" && !(type === "added" && backend.alive)) return;
    this.#pool.setRamp(backend, 1);
    this.#climb(backend);
  }

  #climb(backend: Backend): void {
    const { ramp } = backend;
    if (ramp >= FULL_RAMP) {
      this.#cancels.delete(backend);
      return;
    }
    const step = () => {
      this.#pool.setRamp(backend, ramp + 1);
      this.#climb(backend);
    };
    this.#cancels.set(backend, this.#clock.after(this.#stepMs, step));
  }
}

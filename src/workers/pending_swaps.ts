/** Backends that were added and removed, and pools that have ended, since the workers were told last. */

import type { PlacedBackend, PoolEvent, ServerPool } from "../pool/server_pool.ts";
import type { PoolSwap } from "./messages.ts";

/** A backend that was removed, and the function that gives its slot back. */
interface Leaving {
  readonly drained: boolean;
  readonly release: () => void;
}

/** The changes of one pool, by slot. */
interface Pending {
  readonly added: Map<number, PlacedBackend>;
  readonly removed: Map<number, Leaving>;
}

/** What to tell the workers. `release` gives back the slots, which are held until all workers have acknowledged. */
export interface TakenSwaps {
  readonly swaps: readonly PoolSwap[];
  /** The numbers of pools that have ended. */
  readonly ended: readonly number[];
  readonly release: () => void;
}

/**
 * Collects the changes of one moment into one order, so that no worker serves with half of them. The slot of a removed
 * backend is held until every worker has acknowledged the removal.
 */
export class PendingSwaps {
  #pools = new Map<ServerPool, Pending>();
  #ended: number[] = [];
  readonly #begun: () => void;

  /** @param begun called when there is something to tell, once until `take` is called */
  constructor(begun: () => void) {
    this.#begun = begun;
  }

  note(pool: ServerPool, { type, backend }: PoolEvent): void {
    if (type !== "added" && type !== "removed") return;
    this.#note();
    const { added, removed } = this.#of(pool);
    const { spec, slot, drained } = backend;
    if (type === "added") added.set(slot, { spec, slot });
    else if (!added.delete(slot)) removed.set(slot, { drained, release: pool.shared.memory.slots.hold(slot) });
  }

  noteEnd(pool: ServerPool): void {
    this.#note();
    this.#ended.push(pool.shared.number);
  }

  /** Returns all changes since the last call; `undefined`: there are none. */
  take(): TakenSwaps | undefined {
    if (this.#isEmpty) return undefined;
    // Pools without changes are left out: a backend that was added and removed at once is no change.
    const pools = [...this.#pools].filter(([, { added, removed }]) => added.size + removed.size > 0);
    const ended = this.#ended;
    this.#pools = new Map();
    this.#ended = [];
    if (pools.length + ended.length === 0) return undefined;
    const swaps = pools.map(([pool, { added, removed }]): PoolSwap => ({
      pool: pool.shared.number,
      removed: Array.from(removed, ([slot, { drained }]) => ({ slot, drained })),
      added: [...added.values()],
    }));
    const held = pools.flatMap(([, { removed }]) => [...removed.values()]);
    return { swaps, ended, release: () => held.forEach(({ release }) => release()) };
  }

  get #isEmpty(): boolean {
    return this.#pools.size + this.#ended.length === 0;
  }

  #note(): void {
    if (this.#isEmpty) this.#begun();
  }

  #of(pool: ServerPool): Pending {
    let swap = this.#pools.get(pool);
    if (swap === undefined) this.#pools.set(pool, swap = { added: new Map(), removed: new Map() });
    return swap;
  }
}

/** Backends that came and left since the workers were told last, by pool. */

import type { PlacedBackend, PoolEvent, ServerPool } from "../pool/server_pool.ts";
import type { PoolSwap } from "./messages.ts";

/** A backend that left, and what gives its slot back. */
interface Leaving {
  readonly drained: boolean;
  readonly release: () => void;
}

/** Of one pool, by slot. */
interface Pending {
  readonly added: Map<number, PlacedBackend>;
  readonly removed: Map<number, Leaving>;
}

/** What the workers are to be told, and the slots that are held until they have acknowledged it. */
export interface TakenSwaps {
  readonly swaps: readonly PoolSwap[];
  readonly release: () => void;
}

/**
 * What changes in one moment goes to the workers in one order, so that none of them serves with half of it. A slot is
 * held from its removal until every worker has acknowledged that.
 */
export class PendingSwaps {
  #pools = new Map<ServerPool, Pending>();
  readonly #begun: () => void;

  /** @param begun called when there is something to be told, once until it is taken */
  constructor(begun: () => void) {
    this.#begun = begun;
  }

  note(pool: ServerPool, { type, backend }: PoolEvent): void {
    if (type !== "added" && type !== "removed") return;
    if (this.#pools.size === 0) this.#begun();
    const { added, removed } = this.#of(pool);
    const { spec, slot, drained } = backend;
    if (type === "added") added.set(slot, { spec, slot });
    else if (!added.delete(slot)) removed.set(slot, { drained, release: pool.shared.memory.slots.hold(slot) });
  }

  /** Everything since the last call; `undefined`: nothing. */
  take(): TakenSwaps | undefined {
    if (this.#pools.size === 0) return undefined;
    // One that came and went at once is nothing to be told.
    const pools = [...this.#pools].filter(([, { added, removed }]) => added.size + removed.size > 0);
    this.#pools = new Map();
    if (pools.length === 0) return undefined;
    const swaps = pools.map(([pool, { added, removed }]): PoolSwap => ({
      pool: pool.shared.number,
      removed: Array.from(removed, ([slot, { drained }]) => ({ slot, drained })),
      added: [...added.values()],
    }));
    const held = pools.flatMap(([, { removed }]) => [...removed.values()]);
    return { swaps, release: () => held.forEach(({ release }) => release()) };
  }

  #of(pool: ServerPool): Pending {
    let swap = this.#pools.get(pool);
    if (swap === undefined) this.#pools.set(pool, swap = { added: new Map(), removed: new Map() });
    return swap;
  }
}

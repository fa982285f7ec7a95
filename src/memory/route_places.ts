/** Which route has which place in the tables of counts. A route is known by a hash of its label. */

import { digestOf } from "../digest.ts";
import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";
import { ROUTES, type SlotUse } from "./slots.ts";

// Record of a place, in 32-bit cells.
const HASH = 0; // and the next cell
const USED = 2; // 1: a label has the place
const GENERATION = 3;
const RECORD = 4;

/** One isolate's view of the places. */
export class RoutePlaces {
  static readonly lines: number = linesFor(ROUTES * RECORD, LINE_WORDS);
  readonly #words: Int32Array;

  constructor(arena: Arena) {
    this.#words = arena.take(RoutePlaces.lines).words;
  }

  /**
   * Takes the places of all other labels back, and gives one to each of these, in their order, while there are any.
   * Returns the places that have another label now.
   */
  assign(labels: readonly string[]): readonly SlotUse[] {
    const found = this.finder();
    const kept = new Set<number>();
    const without = new Set<string>();
    for (const label of labels) {
      const place = found(label);
      if (place === undefined) without.add(label);
      else kept.add(place.slot);
    }
    for (let slot = 0; slot < ROUTES; slot++) if (!kept.has(slot)) this.#set(slot, USED, 0);
    const given: SlotUse[] = [];
    let slot = 0;
    for (const label of without) {
      while (slot < ROUTES && kept.has(slot)) slot++;
      if (slot === ROUTES) break;
      given.push(this.#give(slot++, label));
    }
    return given;
  }

  /** Returns a function that finds the place of a label, as they are now. */
  finder(): (label: string) => SlotUse | undefined {
    const places = new Map<number, SlotUse>();
    for (let slot = 0; slot < ROUTES; slot++) {
      if (this.#get(slot, USED) === 0) continue;
      const hash = joined(this.#get(slot, HASH), this.#get(slot, HASH + 1));
      places.set(hash, { slot, generation: this.#get(slot, GENERATION) });
    }
    return (label) => {
      const [high, low] = hashOf(label);
      return places.get(joined(high, low));
    };
  }

  /** Whether no later label has the place. */
  isLatest({ slot, generation }: SlotUse): boolean {
    return this.#get(slot, GENERATION) === generation;
  }

  #give(slot: number, label: string): SlotUse {
    const generation = this.#get(slot, GENERATION) + 1;
    const [high, low] = hashOf(label);
    this.#set(slot, HASH, high);
    this.#set(slot, HASH + 1, low);
    this.#set(slot, GENERATION, generation);
    this.#set(slot, USED, 1);
    return { slot, generation };
  }

  #get(slot: number, cell: number): number {
    return Atomics.load(this.#words, slot * RECORD + cell);
  }

  /** Reads before it writes: a write would allocate memory for places that were never used. */
  #set(slot: number, cell: number, value: number): void {
    if (this.#get(slot, cell) !== value) Atomics.store(this.#words, slot * RECORD + cell, value);
  }
}

/** The first 48 bits of the SHA-256, as two cells. */
function hashOf(label: string): readonly [high: number, low: number] {
  const digest = digestOf(label);
  return [digest.getUint16(0), digest.getInt32(2)];
}

function joined(high: number, low: number): number {
  return high * 2 ** 32 + (low >>> 0);
}

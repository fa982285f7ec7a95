/** How replicas tell each other through the store what they let through of the limits that all of them share. */

import { StoreContentError } from "./errors.ts";

/** What was spent of a key of a limit. */
export interface Spent {
  /** Names the limit and the key, the same at all replicas. */
  readonly field: string;
  readonly spentUs: number;
  readonly burstUs: number;
}

/** How much all replicas have spent of a key. */
export interface Settled {
  readonly field: string;
  /** After how many milliseconds its allowance is whole again. */
  readonly wholeAfterMs: number;
}

/** The most keys that are told, and that are heard of, at a time. More are heard of, so that nobody lags behind. */
export const MOST_TOLD = 500;
export const MOST_HEARD = 2000;
/** The most keys that the store has. */
export const MOST_KEPT = 100_000;

const SEED = /^[0-9a-f]{16}$/;

/** A seed of 64 bits for the keys of limits, as hexadecimal digits. */
export function newSeed(): string {
  return crypto.getRandomValues(new BigUint64Array(1)).reduce((text, word) => text + word.toString(16), "").padStart(
    16,
    "0",
  );
}

export function isSeed(text: string): boolean {
  return SEED.test(text);
}

/** What a reply of `SETTLE` tells. `undefined`: the other replicas have another seed. */
export function settledIn(
  texts: readonly string[],
  seed: string,
): { readonly next: string; readonly settled: readonly Settled[] } | undefined {
  const [theirs, next = "", ...rest] = texts;
  if (theirs !== seed) return undefined;
  if (!/^\d{1,16}$/.test(next)) throw new StoreContentError("no such settlement");
  const settled: Settled[] = [];
  for (let i = 0; i + 1 < rest.length; i += 2) {
    const wholeAfterMs = Number(rest[i + 1]) / 1000;
    if (wholeAfterMs >= 0) settled.push({ field: rest[i] ?? "", wholeAfterMs });
  }
  return { next, settled };
}

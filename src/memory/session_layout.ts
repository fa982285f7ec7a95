/** The layout of the session table, in 32-bit cells. */

import { LINE_WORDS } from "./arena.ts";
import { bucketBits, KEY_CELLS } from "./session_key.ts";

// Header. Its second cache line is written once, before any other isolate gets the buffer.
export const LOCK = 0;
export const SIZE = 1; // how many entries were ever used; they have the numbers 1 to SIZE
export const NEWEST = 2;
export const OLDEST = 3;
export const CAPACITY = LINE_WORDS;
export const MULTIPLIERS_AT = LINE_WORDS + 1;
const HEADER = 2 * LINE_WORDS;

// Entry.
export const KEY = 0;
export const SLOT = KEY_CELLS;
export const GENERATION = SLOT + 1;
export const USED_AT = GENERATION + 1; // 64-bit float
export const NEWER = USED_AT + 2;
export const OLDER = NEWER + 1;
export const BUCKET = OLDER + 1;
export const CHAIN = BUCKET + 1; // the next entry of the same bucket
const ENTRY = CHAIN + 1;

/** The number that means "no entry". */
export const NONE = 0;

/** The first cell of an entry. */
export function entryCell(entry: number): number {
  return HEADER + (entry - 1) * ENTRY;
}

/** The first cell of the buckets. Each bucket is one cell: the number of its first entry. */
export function bucketsCell(capacity: number): number {
  return entryCell(capacity + 1);
}

/** How many cells the table needs. */
export function tableCells(capacity: number): number {
  return bucketsCell(capacity) + 2 ** bucketBits(capacity);
}

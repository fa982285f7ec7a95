/** What the memory of a session table says to someone who knows its layout. */

import { bucketBits, bucketOf, KEY_CELLS, MULTIPLIERS } from "../../../src/memory/session_key.ts";
import * as at from "../../../src/memory/session_layout.ts";
import type { SessionTable } from "../../../src/memory/session_table.ts";

/** Clients in the table. One that timed out counts until its entry is needed for another. */
export function sizeOf(table: SessionTable): number {
  return Atomics.load(new Int32Array(table.shared.buffer), at.SIZE);
}

/** The most clients that the table holds. */
export function capacityOf(table: SessionTable): number {
  return Atomics.load(new Int32Array(table.shared.buffer), at.CAPACITY);
}

/** Says what is wrong with the links, if anything. Nobody else may use the table meanwhile. */
export function findFault(table: SessionTable): string | undefined {
  const words = new Int32Array(table.shared.buffer);
  const load = (cell: number) => words[cell] ?? 0;
  return faultByAge(load) ?? faultInBuckets(words, load);
}

function faultByAge(load: (cell: number) => number): string | undefined {
  const [size, capacity] = [load(at.SIZE), load(at.CAPACITY)];
  if (size > capacity) return `${size} entries where ${capacity} is the most`;
  let newer = at.NONE;
  let count = 0;
  for (let entry = load(at.NEWEST); entry !== at.NONE; entry = load(at.entryCell(entry) + at.OLDER)) {
    if (entry > size) return `entry ${entry} is in the list by age but not in use`;
    if (++count > size) return "the list by age leads in a circle";
    if (load(at.entryCell(entry) + at.NEWER) !== newer) return `entry ${entry} does not point back to ${newer}`;
    newer = entry;
  }
  if (load(at.OLDEST) !== newer) return `the list by age ends at ${newer}, not at the oldest`;
  return count === size ? undefined : `${count} of ${size} entries are in the list by age`;
}

function faultInBuckets(words: Int32Array, load: (cell: number) => number): string | undefined {
  const [size, capacity] = [load(at.SIZE), load(at.CAPACITY)];
  const multipliers = words.subarray(at.MULTIPLIERS_AT, at.MULTIPLIERS_AT + MULTIPLIERS);
  const buckets = at.bucketsCell(capacity);
  let count = 0;
  for (let bucket = 0; bucket < 2 ** bucketBits(capacity); bucket++) {
    const keys = new Set<string>();
    for (let entry = load(buckets + bucket); entry !== at.NONE; entry = load(at.entryCell(entry) + at.CHAIN)) {
      if (entry > size) return `entry ${entry} is in bucket ${bucket} but not in use`;
      if (++count > size) return "a bucket leads in a circle";
      const cell = at.entryCell(entry);
      const key = words.subarray(cell + at.KEY, cell + at.KEY + KEY_CELLS);
      if (bucketOf(key, multipliers, bucketBits(capacity)) !== bucket) {
        return `entry ${entry} does not belong in bucket ${bucket}`;
      }
      if (load(cell + at.BUCKET) !== bucket) return `entry ${entry} in bucket ${bucket} does not know it is`;
      if (keys.has(key.join())) return `entry ${entry} is for the same client as another`;
      keys.add(key.join());
    }
  }
  return count === size ? undefined : `${count} of ${size} entries are in a bucket`;
}

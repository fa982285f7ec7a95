/** Shared memory for unit tests. */

import { Arena } from "../../src/memory/arena.ts";
import { Memory } from "../../src/memory/memory.ts";

/** The memory as each of `count` isolates sees it. */
export function memories(count: number): readonly Memory[] {
  const first = Memory.allocate(count);
  const others = Array.from({ length: count - 1 }, (_, index) => Memory.attach(first.sharedWith(index + 1)));
  return [first, ...others];
}

/** Unused memory, as each of `count` isolates sees it. */
export function arenas(count: number, lines: number): readonly Arena[] {
  const { buffer } = Arena.allocate(count, lines);
  return Array.from({ length: count }, (_, isolate) => new Arena({ buffer, isolates: count, isolate }));
}

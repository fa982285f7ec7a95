/** What hostile clients of one kind do, until their process ends. */

import type { Doors } from "../doors.ts";

/** Begins and returns. `count` notes what was done. */
export type Attack = (doors: Doors, count: (what: string) => void) => void;

/** Resolves after that long. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Does it again and again, with a rest between; being cut off or refused is part of it. */
export async function again(restMs: number, act: () => Promise<void>): Promise<never> {
  while (true) {
    await act().catch(() => {});
    await pause(restMs);
  }
}

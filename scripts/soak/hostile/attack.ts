/** The interface of an attack: what hostile clients of one kind do until their process ends. */

import type { Doors } from "../doors.ts";
import { pause } from "../pause.ts";

/** Starts the attack and returns. `count` counts what was done. */
export type Attack = (doors: Doors, count: (what: string) => void) => void;

/** Repeats `act` with pauses. Errors are ignored, because being cut off or refused is expected. */
export async function again(restMs: number, act: () => Promise<void>): Promise<never> {
  while (true) {
    await act().catch(() => {});
    await pause(restMs);
  }
}

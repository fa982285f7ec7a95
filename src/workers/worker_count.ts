/** How many isolates serve. */

import type { Config } from "../config/schema.ts";

/** `"auto"`: one for each core. */
export function workerCount(workers: Config["proxy"]["workers"]): number {
  return workers === "auto" ? navigator.hardwareConcurrency : workers;
}

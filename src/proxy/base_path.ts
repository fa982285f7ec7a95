/** Refuses targets that could leave the base path of a backend. */

import { climbsOut } from "../http1/climbs_out.ts";
import { refused } from "../failures.ts";

/** @throws {ProxyError} when the target could lead out of the base path that is put before it */
export function checkBelowBase(target: string): void {
  if (!climbsOut(target)) return;
  throw refused("bad_request", "The request target leaves the base path of the backend.");
}

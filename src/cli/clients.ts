/** `roundhouse reload` and `roundhouse ready`: one call of the admin API each. */

import { ConfigError } from "../errors.ts";
import { AdminCallError, type AdminTarget, callAdmin, detailOf, failureOf, notTheAdminApi } from "./admin_call.ts";
import { writeOut } from "./output.ts";

/** A reload waits for the changes of others, and for a pool that is being built. */
const RELOAD_WITHIN_MS = 60_000;
const READY_WITHIN_MS = 5_000;

/**
 * Lets a running roundhouse read its configuration again, and prints the report as JSON. Returns the exit status.
 *
 * @throws {ConfigError} with a line for each problem of the configuration
 * @throws {AdminCallError} if none answers
 */
export async function reload(target: AdminTarget): Promise<number> {
  const answer = await callAdmin(target, { method: "POST", path: "reload", withinMs: RELOAD_WITHIN_MS });
  if (answer === undefined) return 1;
  const detail = detailOf(answer);
  if (answer.status === 400 && detail !== undefined) throw new ConfigError(detail.split("\n"));
  if (answer.status !== 200) throw new AdminCallError(failureOf(target.adminUrl, answer), false);
  // The proxy's own port passes such a request on to a backend.
  if (!Array.isArray(Object(answer.body).restartNeeded)) throw notTheAdminApi(target.adminUrl);
  writeOut(`${JSON.stringify(answer.body, null, 2)}\n`);
  return 0;
}

/**
 * Returns 0 if a running roundhouse can serve.
 *
 * @throws {AdminCallError} if it can't, or none answers
 */
export async function ready(target: AdminTarget): Promise<number> {
  const answer = await callAdmin(target, { method: "GET", path: "readyz", withinMs: READY_WITHIN_MS });
  if (answer === undefined) return 1;
  if (answer.status !== 200) throw new AdminCallError(failureOf(target.adminUrl, answer), false);
  if (Object(answer.body).status !== "ready") throw notTheAdminApi(target.adminUrl);
  writeOut("ready\n");
  return 0;
}

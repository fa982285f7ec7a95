/** The refusals of changes of a pool. */

import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { DeploymentEndedError, TrialsFailedError } from "../../pool/deployment.ts";
import { DrainCalledOffError } from "../../pool/drain.ts";
import { FollowsSourceError } from "../../pool/following.ts";
import { ChangedElsewhereError, NotPersistedError, NotSharedError } from "../../pool/keeping.ts";
import { PoolEndedError, UnknownBackendError } from "../../pool/membership.ts";
import { DuplicateBackendError, PoolFullError } from "../../pool/server_pool.ts";
import { AdminError } from "../admin_error.ts";

/** Errors that mean that the present state of the pool does not allow the change. */
const CONFLICTS = [
  DuplicateBackendError,
  PoolFullError,
  DrainCalledOffError,
  DeploymentEndedError,
  FollowsSourceError,
];

/** Turns the errors of a change into refusals of the admin API. */
export async function answered<T>(change: Promise<T>, log: Log): Promise<T> {
  try {
    return await change;
  } catch (error) {
    if (error instanceof PoolEndedError) throw new AdminError(404, error.message);
    if (error instanceof UnknownBackendError) throw noSuchBackend();
    if (error instanceof ChangedElsewhereError) {
      throw new AdminError(409, error.message, {}, { present: error.present });
    }
    if (error instanceof NotSharedError) throw new AdminError(503, error.message);
    if (error instanceof TrialsFailedError) throw new AdminError(504, error.message, {}, { failed: error.failed });
    if (CONFLICTS.some((kind) => error instanceof kind)) throw new AdminError(409, messageOf(error));
    if (!(error instanceof NotPersistedError)) throw error;
    const reason = messageOf(error.cause);
    log.error("configuration not written", { reason });
    throw new AdminError(500, `${error.message}: ${reason}`);
  }
}

export function noSuchBackend(): AdminError {
  return new AdminError(404, "the pool has no such backend");
}

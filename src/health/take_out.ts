/** What any isolate does at once about a backend that can't be reached. */

import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { canSpare, counts, judge, type PassiveLimits } from "./passive_rule.ts";

/** A backend was taken out; `PassiveHealth.tookOut` has to know. */
export interface TakenOut {
  /** The shared memory has changed since, so only whoever took it out knows. */
  readonly wasAlive: boolean;
}

/**
 * A connection failed. If that is one too many, takes the backend out through the shared memory: no isolate's next
 * request goes there. Returns `undefined` if the backend stays, or was out already.
 */
export function takeOutUnreachable(pool: ServerPool, backend: Backend, limits: PassiveLimits): TakenOut | undefined {
  if (!counts("unreachable", backend, limits)) return undefined;
  const { health } = pool.shared.memory;
  const verdict = judge(backend, { type: "unreachable", inARow: backend.countConnectFailure() }, limits);
  if (verdict === "stays") return undefined;
  const wasAlive = backend.alive;
  const changed = verdict === "down" ? health.setUp(backend.slot, false) : eject(pool, backend, limits);
  if (!changed) return undefined;
  pool.shared.cells.bumpEpoch();
  return { wasAlive };
}

/** The control plane brings the end. */
function eject(pool: ServerPool, backend: Backend, { ejectForMs }: PassiveLimits): boolean {
  const { memory, cells } = pool.shared;
  if (!canSpare(pool.backends, backend) || !memory.health.setEjected(backend.slot, true)) return false;
  if (!canSpare(pool.backends, backend)) { // another isolate took the other backend out at the same moment
    memory.health.setEjected(backend.slot, false);
    cells.bumpEpoch();
    return false;
  }
  backend.planReturn(Date.now() + ejectForMs);
  return true;
}

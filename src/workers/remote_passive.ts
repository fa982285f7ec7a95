/** Passive health in a worker. Acts itself if that can't wait, and tells the control plane, which does the rest. */

import type { PoolSettings } from "../config/pool_settings.ts";
import type { FailureReports } from "../health/passive.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { canSpare } from "../health/spare.ts";
import type { News } from "./messages.ts";

/**
 * That of one pool. Takes a backend that can't be reached out in the shared memory, for all isolates before the next
 * request. Only the control plane can count the other failures over all workers, so its ejection follows after a
 * message.
 */
export class RemotePassiveHealth implements FailureReports {
  #config: Pick<PoolSettings, "passive" | "health">;
  readonly #pool: ServerPool;
  readonly #send: (news: News) => void;

  constructor(config: Pick<PoolSettings, "passive" | "health">, pool: ServerPool, send: (news: News) => void) {
    this.#config = config;
    this.#pool = pool;
    this.#send = send;
  }

  /** Uses other limits from now on. */
  configure(config: Pick<PoolSettings, "passive" | "health">): void {
    this.#config = config;
  }

  connectFailed(backend: Backend, reason: string): void {
    const { connectFailures } = this.#config.passive;
    if (connectFailures === 0 || backend.countConnectFailure() < connectFailures || !backend.inPool) return;
    const wasAlive = backend.alive;
    if (!this.#takeOut(backend)) return; // it was out already
    this.#pool.shared.cells.bumpEpoch();
    const { number } = this.#pool.shared;
    const news = { pool: number, backend: nameOf(backend), reason: `connect failed: ${reason}`, wasAlive };
    this.#send({ type: "took-out", ...news });
  }

  failed(backend: Backend): void {
    if (this.#config.passive.serverErrors === 0 || backend.ejected || !backend.inPool) return;
    this.#send({ type: "failure", pool: this.#pool.shared.number, backend: nameOf(backend) });
  }

  serverError(backend: Backend): void {
    this.failed(backend);
  }

  /** Takes a backend out. Without health checks, this is an ejection, which the control plane ends. */
  #takeOut(backend: Backend): boolean {
    const { backends, shared } = this.#pool;
    const { slot } = backend;
    const { health } = shared.memory;
    if (this.#config.health.type !== "none") return health.setUp(slot, false);
    if (!canSpare(backends, backend) || !health.setEjected(slot, true)) return false;
    if (!canSpare(backends, backend)) { // another isolate took the other backend out at the same moment
      health.setEjected(slot, false);
      shared.cells.bumpEpoch();
      return false;
    }
    backend.planReturn(Date.now() + this.#config.passive.ejectForMs);
    return true;
  }
}

function nameOf({ slot, generation }: Backend) {
  return { slot, generation };
}

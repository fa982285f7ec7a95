/** Passive health in a worker. Tells the control plane, which decides, what this isolate observes. */

import type { PoolSettings } from "../config/pool_settings.ts";
import type { FailureReports } from "../health/passive.ts";
import { counts, type PassiveLimits, passiveLimits } from "../health/passive_rule.ts";
import { takeOutUnreachable } from "../health/take_out.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { News } from "./messages.ts";

/**
 * The passive health of one pool. Takes a backend that can't be reached out for all isolates before the next request,
 * as the control plane does. Only the control plane can count the other failures over all workers, so its ejection
 * follows after a message.
 */
export class RemotePassiveHealth implements FailureReports {
  #limits: PassiveLimits;
  readonly #pool: ServerPool;
  readonly #send: (news: News) => void;

  constructor(settings: Pick<PoolSettings, "passive" | "health">, pool: ServerPool, send: (news: News) => void) {
    this.#limits = passiveLimits(settings);
    this.#pool = pool;
    this.#send = send;
  }

  /** Uses other limits from now on. */
  configure(settings: Pick<PoolSettings, "passive" | "health">): void {
    this.#limits = passiveLimits(settings);
  }

  connectFailed(backend: Backend, reason: string): void {
    const taken = takeOutUnreachable(this.#pool, backend, this.#limits);
    if (taken !== undefined) this.#send({ type: "took-out", ...this.#name(backend), reason, ...taken });
  }

  /** Reports only failures that count. A message for each 5xx answer would cost much and have no effect. */
  failed(backend: Backend): void {
    if (counts("failure", backend, this.#limits)) this.#send({ type: "failure", ...this.#name(backend) });
  }

  serverError(backend: Backend): void {
    this.failed(backend);
  }

  #name({ slot, generation }: Backend) {
    return { pool: this.#pool.shared.number, backend: { slot, generation } };
  }
}

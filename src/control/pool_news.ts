/** Reports what happens to a pool, in the log and as events of the admin API. */

import type { EventFeed } from "../admin/event_feed.ts";
import type { Log } from "../log.ts";
import type { PoolEvent } from "../pool/server_pool.ts";
import type { SourceStatus } from "./discovery.ts";
import type { PoolListener } from "./pool_control.ts";

const MESSAGES = {
  added: "backend added",
  removed: "backend removed",
  up: "backend up",
  down: "backend down",
  changed: "backend changed",
  active: "backend enabled",
  draining: "backend draining",
  disabled: "backend disabled",
} as const satisfies Record<PoolEvent["type"], string>;

/** Whom a `PoolNews` tells. */
export interface PoolNewsOptions {
  readonly pool: string;
  readonly log: Log;
  readonly events: EventFeed;
  /** Called after each change of a backend. */
  readonly told: () => void;
}

/** Reports the news of one pool to the log and the event feed. */
export class PoolNews implements PoolListener {
  readonly #pool: string;
  readonly #log: Log;
  readonly #events: EventFeed;
  readonly #told: () => void;

  constructor({ pool, log, events, told }: PoolNewsOptions) {
    this.#pool = pool;
    this.#log = log;
    this.#events = events;
    this.#told = told;
  }

  poolChanged(event: PoolEvent): void {
    const { type, backend: { url, id }, reason } = event;
    const level = type === "down" ? "warn" : "info";
    this.#log[level](MESSAGES[type], { backend: url, pool: this.#pool, id, reason });
    this.#events.poolChanged(this.#pool, event);
    this.#told();
  }

  failingOpen(active: boolean): void {
    const pool = this.#pool;
    if (active) this.#log.warn("fail open", { pool, reason: "all backends are down, so all of them serve" });
    else this.#log.info("fail open ended", { pool, reason: "a backend is up again, or no backend may serve" });
    this.#events.failingOpen(pool, active);
  }

  sourceChanged({ kind, ok, error }: SourceStatus): void {
    const pool = this.#pool;
    if (ok) this.#log.info("discovery recovered", { pool, source: kind });
    else this.#log.warn("discovery failed", { pool, source: kind, error, reason: "the last list stays" });
    this.#events.sourceChanged(pool, { source: kind, error }, ok);
  }
}

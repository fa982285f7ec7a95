/** One pool, as the requests of one isolate see it. */

import { LoadBalancer } from "../balancing/load_balancer.ts";
import { strategyFactory } from "../balancing/registry.ts";
import type { PickRequest } from "../balancing/strategy.ts";
import { type Stickiness, stickiness } from "../balancing/sticky.ts";
import type { PoolSettings } from "../config/pool_settings.ts";
import type { FailureReports } from "../health/passive.ts";
import type { PoolCounts } from "../memory/pool_counts.ts";
import type { RetryBudget } from "../memory/retry_budget.ts";
import type { SessionTable } from "../memory/session_table.ts";
import type { Lease } from "../pool/backend.ts";
import type { QueueLimits, RequestQueue } from "../pool/queue.ts";
import type { ServerPool } from "../pool/server_pool.ts";

/** What a `PoolRuntime` needs. */
export interface PoolRuntimeOptions {
  readonly name: string;
  readonly pool: ServerPool;
  readonly settings: Pick<PoolSettings, "strategy" | "sticky" | "queue">;
  /** `retries.budget`. */
  readonly retryShare: number;
  /** The queue of the pool in this isolate. It stays the same after a reload. */
  readonly queue: RequestQueue;
  /** Sessions by address, if `sticky.by` is `ip`. */
  readonly sessions: SessionTable | undefined;
  readonly passive: FailureReports;
}

/**
 * A snapshot for each configuration. A request keeps its snapshot to its end. The pool behind it is always current: its
 * backends, their health and their room.
 */
export class PoolRuntime {
  readonly name: string;
  readonly balancer: LoadBalancer;
  /** `undefined`: there are no sessions. */
  readonly stickiness: Stickiness | undefined;
  /** The queue in which requests wait for a backend of the pool. */
  readonly queue: RequestQueue;
  readonly queueLimits: QueueLimits;
  /** Told about attempts that failed because of a backend. */
  readonly passive: FailureReports;
  /** Counts the requests of the pool. */
  readonly counts: PoolCounts;
  readonly #pool: ServerPool;
  readonly #budget: RetryBudget;
  readonly #retryShare: number;

  constructor({ name, pool, settings, retryShare, queue, sessions, passive }: PoolRuntimeOptions) {
    this.name = name;
    this.balancer = new LoadBalancer(pool, strategyFactory(settings.strategy));
    this.stickiness = stickiness(settings.sticky, pool, sessions);
    this.queue = queue;
    this.queueLimits = settings.queue;
    this.passive = passive;
    this.counts = pool.shared.counts;
    this.#pool = pool;
    this.#budget = pool.shared.retryBudget;
    this.#retryShare = retryShare;
  }

  /** Takes a place at the backend whose turn it is; `undefined`: the request accepts none that has room. */
  lease(request: PickRequest): Lease | undefined {
    for (let backend = this.balancer.pick(request); backend !== undefined; backend = this.balancer.pick(request)) {
      const lease = backend.lease();
      if (lease !== undefined) return lease;
      // another isolate took the last place in between
    }
    return undefined;
  }

  /** Gives a place back, and lets a request that waits have it. */
  release(lease: Lease): void {
    lease.release();
    this.queue.released(lease.backend);
  }

  /** Counts a request of the pool. The budget for retries is a share of these. */
  countRequest(nowMs: number): void {
    this.#budget.countRequest(nowMs);
  }

  /** Whether the budget has a retry left. */
  get allowsRetry(): boolean {
    return this.#budget.allows(this.#retryShare);
  }

  /** Takes a retry from the budget. Returns whether there was one. */
  takeRetry(): boolean {
    return this.#budget.take(this.#retryShare);
  }

  /** Whole seconds to the next health check or end of an ejection, at least 1: for `Retry-After`. */
  retryAfterSeconds(nowMs = Date.now()): number {
    let soonest = Infinity;
    for (const { recheckAt, ejectedUntil } of this.#pool.backends) {
      for (const at of [recheckAt, ejectedUntil]) {
        if (at > nowMs && at < soonest) soonest = at;
      }
    }
    return soonest === Infinity ? 1 : Math.ceil((soonest - nowMs) / 1000);
  }
}

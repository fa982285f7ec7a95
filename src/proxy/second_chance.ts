/** What a request waits for before its next attempt: room at a backend, or one that comes back. */

import type { ProxyError } from "../errors.ts";
import type { Lease } from "../pool/backend.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import { holds, type QueueLimits, type Waiter } from "../pool/queue.ts";
import type { Story } from "./story.ts";
import { awaitedSlots, tryLease } from "./try_lease.ts";

/** A backend that broke off may be killed at this moment: it gets the same request again after so long, not at once. */
const REPEAT_MS = 25;

/** A backend that refuses connections and that no check takes out is asked again after so long. */
const REFUSED_MS = 250;

/** So long a request that may not be tried elsewhere waits to be told that all backends are gone. */
const DOUBT_MS = 300;

const NONE: readonly number[] = [];

/** Why a request waits. */
export interface Waiting {
  /** What the client is told where waiting is pointless. */
  readonly failure: ProxyError;
  /** Whether the request may go to a backend now: it was at none, or the rules and the budget let it go to another. */
  readonly allowed: boolean;
}

/** One wait of a request in the queue. */
export class SecondChance implements Waiter {
  readonly limits: QueueLimits;
  readonly #story: Story;
  readonly #failure: ProxyError;
  /** Whether the request was at a backend already. */
  readonly #again: boolean;
  #allowed: boolean;
  #held = false;
  /** Whether all backends were gone for a while: then the next attempt takes nothing from the budget. */
  #wasHeld = false;
  /** By `performance.now()`. */
  #notBefore = 0;
  #doubtUntil = 0;

  constructor(story: Story, { failure, allowed }: Waiting) {
    this.limits = story.pool.queueLimits;
    this.#story = story;
    this.#failure = failure;
    this.#allowed = allowed;
    this.#again = story.tried.length > 0;
  }

  get held(): boolean {
    return this.#held;
  }

  get hopeless(): ProxyError | undefined {
    const story = this.#story;
    this.#held = false;
    const { brokenOff } = story.exchange;
    if (brokenOff !== undefined) return brokenOff;
    if (this.#allowed && !this.#wasHeld && story.sticksTo !== undefined) return undefined;
    const { eligible } = story.pool.balancer;
    const goneAt = this.#goneAt();
    if (goneAt > 0) return this.#hold(goneAt);
    if (eligible.length === 0) return this.#failure;
    if (this.#wasHeld) {
      this.#notBefore = 0; // one is back
      return undefined;
    }
    if (!this.#allowed) return this.#doubt();
    return eligible.every((backend) => story.hasTried(backend)) ? this.#repeat() : undefined;
  }

  get slots(): readonly number[] | undefined {
    if (!this.#mayGo) return NONE; // whoever may go at once is not to wait for it
    return awaitedSlots(this.#story);
  }

  tryLease(ticket: number): Lease | undefined {
    if (!this.#mayGo) return undefined;
    const story = this.#story;
    story.ticket = ticket;
    const lease = tryLease(story);
    story.ticket = NO_TICKET; // where the attempt fails, it begins as others do
    if (lease === undefined || !this.#again) return lease;
    // A retry that a restart of all backends has cost takes nothing from the budget.
    if (!this.#wasHeld && !story.pool.takeRetry()) return this.#overBudget(lease);
    return lease;
  }

  get #mayGo(): boolean {
    return this.#allowed && performance.now() >= this.#notBefore;
  }

  /** Others have used the budget up meanwhile. */
  #overBudget(lease: Lease): undefined {
    this.#allowed = false; // first: the queue may ask this one again at once
    lease.release();
    this.#story.pool.queue.released(lease.backend);
    return undefined;
  }

  /** When the last backend was lost, in milliseconds since the Unix epoch; 0: the request may find one. */
  #goneAt(): number {
    const { balancer } = this.#story.pool;
    if (balancer.eligible.length === 0) {
      this.#notBefore = 0;
      return balancer.lostAt;
    }
    if (!this.#again) return 0;
    let latest = 0;
    for (const { refusingSince } of balancer.eligible) {
      if (refusingSince === 0) return 0;
      latest = Math.max(latest, refusingSince);
    }
    if (this.#notBefore === 0) this.#notBefore = performance.now() + REFUSED_MS;
    return latest;
  }

  #hold(goneAt: number): ProxyError | undefined {
    const story = this.#story;
    if (story.heldSince === 0) story.heldSince = Date.now();
    if (!holds(this.limits, goneAt) || !holds(this.limits, story.heldSince)) return this.#failure;
    story.forgiveAll();
    this.#held = this.#wasHeld = this.#allowed = true;
    return undefined;
  }

  /** All were tried, and the last one broke off: it may be gone, or may take the request after all. */
  #repeat(): ProxyError | undefined {
    const failure = this.#failure;
    if (failure.code !== "connection_lost" || !holds(this.limits, Date.now())) return failure;
    this.#story.forgiveAll();
    this.#notBefore = performance.now() + REPEAT_MS;
    return undefined;
  }

  /** Nobody knows yet whether the backends are gone. The health monitor looks, since this request waits. */
  #doubt(): ProxyError | undefined {
    const failure = this.#failure;
    if (failure.code !== "connect_failed" && failure.code !== "connection_lost") return failure;
    const now = performance.now();
    if (this.#doubtUntil === 0) this.#doubtUntil = now + DOUBT_MS;
    if (now > this.#doubtUntil || !holds(this.limits, Date.now())) return failure;
    this.#held = true;
    return undefined;
  }
}

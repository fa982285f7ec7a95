/** Decides what a request waits for before its next attempt: room at a backend, or a backend that comes back. */

import type { ProxyError } from "../errors.ts";
import type { Lease } from "../pool/backend.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import { holds, type QueueLimits, type Waiter } from "../pool/queue.ts";
import type { PooledStory } from "./story.ts";
import { awaitedSlots, tryLease } from "./try_lease.ts";

/**
 * After a connection was lost, the same backend gets the request again only after this time. It may be terminating now.
 */
const REPEAT_MS = 25;

/** After this time, a request tries again backends that refuse connections while no check marks them down. */
const REFUSED_MS = 250;

/**
 * How long a request that may not go to another backend waits for the news that all backends are lost. The checks come
 * every 250 ms meanwhile. One of them may be late on a busy machine, which is nobody's failure.
 */
const DOUBT_MS = 1000;

const NONE: readonly number[] = [];

/** How a request comes to wait. */
export interface Waiting {
  /** The failure that the client is told if waiting is pointless. */
  readonly failure: ProxyError;
  /**
   * Whether the request may go to a backend now: it has tried none, or the rules and the budget allow another attempt.
   */
  readonly allowed: boolean;
}

/** One wait of a request in the queue. */
export class SecondChance implements Waiter {
  readonly limits: QueueLimits;
  readonly #story: PooledStory;
  readonly #failure: ProxyError;
  /** Whether the request has tried a backend already. */
  readonly #again: boolean;
  #allowed: boolean;
  #held = false;
  /** Whether the request has waited for a lost backend. The next attempt then takes nothing from the budget. */
  #wasHeld = false;
  /** By `performance.now()`. */
  #notBefore = 0;
  #doubtUntil = 0;

  constructor(story: PooledStory, { failure, allowed }: Waiting) {
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
      this.#notBefore = 0; // a backend is back
      return undefined;
    }
    if (!this.#allowed) return this.#doubt();
    return eligible.every((backend) => story.hasTried(backend)) ? this.#repeat() : undefined;
  }

  get slots(): readonly number[] | undefined {
    if (!this.#mayGo) return NONE; // requests that may go at once need not wait for this one
    return awaitedSlots(this.#story);
  }

  tryLease(ticket: number): Lease | undefined {
    if (!this.#mayGo) return undefined;
    const story = this.#story;
    story.ticket = ticket;
    const lease = tryLease(story);
    story.ticket = NO_TICKET; // if the attempt fails, the request waits with a new ticket
    if (lease === undefined || !this.#again) return lease;
    // A retry after a restart of all backends takes nothing from the budget.
    if (!this.#wasHeld && !story.pool.takeRetry()) return this.#overBudget(lease);
    return lease;
  }

  get #mayGo(): boolean {
    return this.#allowed && performance.now() >= this.#notBefore;
  }

  /** Gives the place back, because other requests have used up the budget in the meantime. */
  #overBudget(lease: Lease): undefined {
    this.#allowed = false; // before the release: the queue may ask this request again at once
    this.#story.pool.release(lease);
    return undefined;
  }

  /** When the last backend was lost, in milliseconds since the Unix epoch; 0: the request may still find one. */
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

  /**
   * All backends were tried, and the last one lost its connection. It may be down, or may take the request after all.
   */
  #repeat(): ProxyError | undefined {
    const failure = this.#failure;
    if (failure.code !== "connection_lost" || !holds(this.limits, Date.now())) return failure;
    this.#story.forgiveAll();
    this.#notBefore = performance.now() + REPEAT_MS;
    return undefined;
  }

  /**
   * It is not known yet whether the backends are lost. The health monitor checks more often while this request waits.
   */
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

/** `rateLimit`: how often requests may come, by client, route, header or cookie. */

import type { RateLimitConfig } from "../config/schema/guards.ts";
import { rateLimited } from "../failures.ts";
import { cookieValue } from "../http1/cookie.ts";
import type { Limits } from "../memory/limits.ts";
import { greatestCommonDivisor, type RateLimit, rateLimitOf, settledShareOf, shareOf } from "../memory/rate_share.ts";
import type { RateTable } from "../memory/rate_table.ts";
import { turnEpoch } from "../net/turn_clock.ts";
import type { Guard, GuardedRequest, GuardPlace, GuardVerdict, PassingRequest } from "./guard.ts";
import { RateKeys } from "./rate_key.ts";

/** What the fields of RateLimit headers call the limit. */
const POLICY = "default";

/** Refuses requests of a client, or of whatever `by` says, while it is ahead of its rate by more than the burst. */
export function rateLimit(config: RateLimitConfig, { name, limits }: GuardPlace): Guard {
  return new RateLimitGuard(config, limits, limits.rate(rateName(name, config)));
}

/** The name of the memory of a limit. A limit that a reload changes counts anew. */
export function rateName(name: string, { requests, perMs, burst, by, scope }: RateLimitConfig): string {
  return JSON.stringify([name, requests, perMs, burst, by, scope]);
}

/** All that a limit allows. */
export function wholeLimit({ requests, perMs, burst }: RateLimitConfig): RateLimit {
  return rateLimitOf(requests, perMs, burst ?? requests);
}

class RateLimitGuard implements Guard {
  readonly #config: RateLimitConfig;
  readonly #whole: RateLimit;
  readonly #limits: Limits;
  readonly #table: RateTable;
  #keys: RateKeys;
  readonly #policy: readonly [name: string, value: string];
  readonly #ticksPerSecond: number;
  /** What this replica may let through: all of it, or its share. */
  #limit: RateLimit;
  /** What it was made for. */
  #sharing = 0;

  constructor(config: RateLimitConfig, limits: Limits, table: RateTable) {
    this.#config = config;
    this.#whole = this.#limit = wholeLimit(config);
    this.#limits = limits;
    this.#table = table;
    this.#keys = new RateKeys(table.seed);
    this.#policy = ["ratelimit-policy", policyOf(config)];
    this.#ticksPerSecond = this.#limit.ticksPerMs * 1000;
  }

  check(request: PassingRequest) {
    this.#findShare();
    this.#findKey(request);
    const ticks = this.#table.take(this.#keys, this.#limit, turnEpoch());
    if (ticks < 0) request.exceeds();
    if (!this.#config.enforce) return undefined;
    request.tell(this.#policy, ["ratelimit", this.#stateAt(ticks)]);
    return ticks < 0 ? rateLimited(this.#seconds(-ticks)) : undefined;
  }

  explain(request: GuardedRequest): GuardVerdict {
    this.#findShare();
    const by = this.#findKey(request);
    const ticks = this.#table.peek(this.#keys, this.#limit, turnEpoch());
    const { enforce } = this.#config;
    if (ticks >= 0) {
      return { refusal: undefined, reason: `${by}: ${this.#left(ticks) + 1} more requests are allowed now` };
    }
    const seconds = this.#seconds(-ticks);
    const reason = `${by}: the next request is allowed in ${seconds} s${enforce ? "" : ", but enforce is false"}`;
    return { refusal: enforce ? rateLimited(seconds) : undefined, reason };
  }

  /** Replicas come and go. What was spent of a share stays the same part of it. */
  #findShare(): void {
    if (this.#config.scope === "local") return;
    const { sharing } = this.#limits;
    if (sharing === this.#sharing) return;
    this.#sharing = sharing;
    this.#keys = new RateKeys(this.#table.seed); // the replicas may have agreed on another one
    const { replicas, settles } = this.#limits;
    this.#limit = settles ? settledShareOf(this.#whole, replicas) : shareOf(this.#whole, replicas);
  }

  /** Finds the key that counts for a request. Returns what it is, in words that tell no secret. */
  #findKey(request: GuardedRequest): string {
    const { by } = this.#config;
    if (by.kind === "route") {
      this.#keys.ofText("");
      return "all requests together";
    }
    if ("name" in by) {
      const value = by.kind === "header" ? request.believed(by.name) : cookieValue(request.believed("cookie"), by.name);
      if (value !== undefined && value !== "") {
        this.#keys.ofText(value);
        return `its ${by.kind} ${by.name}`;
      }
    }
    this.#keys.ofClient(request.client);
    return "its client";
  }

  /** The `RateLimit` field: how many requests are allowed now, and after how many seconds as many as ever. */
  #stateAt(ticks: number): string {
    if (ticks >= 0) return `"${POLICY}";r=${this.#left(ticks)};t=${this.#seconds(ticks)}`;
    const { burst, ticksPerRequest } = this.#limit;
    return `"${POLICY}";r=0;t=${this.#seconds(burst * ticksPerRequest - ticksPerRequest - ticks)}`;
  }

  #left(ticks: number): number {
    const { burst, ticksPerRequest } = this.#limit;
    return Math.floor((burst * ticksPerRequest - ticks) / ticksPerRequest);
  }

  #seconds(ticks: number): number {
    return Math.ceil(ticks / this.#ticksPerSecond);
  }
}

/**
 * The `RateLimit-Policy` field. Its window is in whole seconds, so a limit for another time is told as the same rate over
 * the shortest one that has whole seconds.
 */
function policyOf({ requests, perMs, burst }: RateLimitConfig): string {
  const times = 1000 / greatestCommonDivisor(perMs, 1000);
  const own = burst === null || burst === requests ? "" : `;roundhouse-burst=${burst}`;
  return `"${POLICY}";q=${requests * times};w=${perMs * times / 1000}${own}`;
}

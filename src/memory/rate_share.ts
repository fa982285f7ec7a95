/** What a rate limit allows, and which part of it one of several replicas may let through. */

/** What a limit allows, in whole ticks: a part of a millisecond of which both numbers are multiples. */
export interface RateLimit {
  readonly ticksPerMs: number;
  readonly ticksPerRequest: number;
  /** How many requests may come at once. */
  readonly burst: number;
}

/** The limit for so many requests in so many milliseconds. */
export function rateLimitOf(requests: number, perMs: number, burst: number): RateLimit {
  const common = greatestCommonDivisor(requests, perMs);
  return { ticksPerMs: requests / common, ticksPerRequest: perMs / common, burst };
}

/**
 * The part of a limit that one of `replicas` may spend by itself, in the same ticks. A bucket that can't be divided is
 * rounded up: a replica that lets nothing through would be no replica.
 */
export function shareOf(limit: RateLimit, replicas: number): RateLimit {
  return {
    ticksPerMs: limit.ticksPerMs,
    ticksPerRequest: limit.ticksPerRequest * replicas,
    burst: Math.ceil(limit.burst / replicas),
  };
}

/** A share must have room for so many requests, or it stays fixed: of fewer, rounding would lose too much. */
const LEAST_SETTLED = 10;

/** A burst may take so long to come back. The store's numbers hold no longer times exactly. */
const LONGEST_SETTLED_MS = 30 * 86_400_000;

/** Whether the shares of a limit follow what all replicas have let through. */
export function isSettled(limit: RateLimit, replicas: number): boolean {
  return replicas > 1 && limit.burst >= LEAST_SETTLED * replicas && burstMs(limit) <= LONGEST_SETTLED_MS;
}

/** After how many milliseconds a burst that was spent is there again. */
export function burstMs({ burst, ticksPerRequest, ticksPerMs }: RateLimit): number {
  return burst * ticksPerRequest / ticksPerMs;
}

/**
 * What a replica may let through of a limit before it hears of the others again. Each gets half of an equal part of what
 * is left. So while all of them spend at once, not knowing of each other, they spend hardly more than there is.
 */
export function settledShareOf(limit: RateLimit, replicas: number): RateLimit {
  if (!isSettled(limit, replicas)) return shareOf(limit, replicas);
  const parts = 2 * replicas;
  return {
    ticksPerMs: limit.ticksPerMs,
    ticksPerRequest: limit.ticksPerRequest * parts,
    burst: Math.floor(limit.burst / parts),
  };
}

export function greatestCommonDivisor(one: number, other: number): number {
  while (other !== 0) [one, other] = [other, one % other];
  return one;
}

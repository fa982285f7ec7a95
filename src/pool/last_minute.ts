/**
 * What a backend has done in the last minute, from looks at its totals every five seconds. Whoever opens the dashboard
 * sees at once what has happened before. A backend without traffic keeps a single look.
 */

/** Counts that only grow. */
interface Totals {
  readonly totalRequests: number;
  readonly totalFailures: number;
  readonly responses: Readonly<Record<"2xx" | "3xx" | "4xx" | "5xx", number>>;
}

/** What happened in the last minute. */
export interface RecentCounts {
  /** Attempts. */
  readonly requests: number;
  /** Attempts that failed because of the backend. */
  readonly failures: number;
  /** Answers to attempts, by all statuses and by two classes of them. */
  readonly answers: number;
  readonly "4xx": number;
  readonly "5xx": number;
  /** Attempts a second, of the last ten seconds. */
  readonly perSecond: number;
}

interface Look extends Omit<RecentCounts, "perSecond"> {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

const EVERY_MS = 5_000;
const MINUTE_MS = 60_000;
const RATE_MS = 10_000;

/** One for each backend. Control plane only. */
export class LastMinute {
  readonly #of: Totals;
  /** Oldest first. The totals are the same until the next one. */
  #looks: readonly [Look, ...Look[]];
  #lookedAt: number;

  constructor(of: Totals, nowMs = Date.now()) {
    this.#of = of;
    this.#looks = [{ at: nowMs, requests: 0, failures: 0, answers: 0, "4xx": 0, "5xx": 0 }];
    this.#lookedAt = nowMs;
  }

  /** To be called each second. */
  look(nowMs: number): void {
    const wasSetBack = nowMs < this.#lookedAt;
    if (!wasSetBack && nowMs - this.#lookedAt < EVERY_MS) return;
    this.#lookedAt = nowMs;
    const look = this.#present(nowMs);
    if (wasSetBack) {
      this.#looks = [look];
      return;
    }
    const base = this.#lookBack(nowMs - MINUTE_MS);
    const [first = look, ...others] = this.#looks.slice(this.#looks.indexOf(base));
    const last = others.at(-1) ?? first;
    this.#looks = isSame(last, look) ? [first, ...others] : [first, ...others, look];
  }

  counts(nowMs = Date.now()): RecentCounts {
    const now = this.#present(nowMs);
    const minuteAgo = this.#lookBack(nowMs - MINUTE_MS);
    const since = this.#lookBack(nowMs - RATE_MS);
    // A look stands for all the time until the next one, in which nothing may have happened.
    const seconds = Math.min(RATE_MS + EVERY_MS, Math.max(1_000, nowMs - since.at)) / 1_000;
    return {
      requests: now.requests - minuteAgo.requests,
      failures: now.failures - minuteAgo.failures,
      answers: now.answers - minuteAgo.answers,
      "4xx": now["4xx"] - minuteAgo["4xx"],
      "5xx": now["5xx"] - minuteAgo["5xx"],
      perSecond: Math.round((now.requests - since.requests) / seconds * 100) / 100,
    };
  }

  #present(at: number): Look {
    const { totalRequests: requests, totalFailures: failures, responses } = this.#of;
    const answers = responses["2xx"] + responses["3xx"] + responses["4xx"] + responses["5xx"];
    return { at, requests, failures, answers, "4xx": responses["4xx"], "5xx": responses["5xx"] };
  }

  /** The last look until then, or the first one. */
  #lookBack(untilMs: number): Look {
    return this.#looks.findLast(({ at }) => at <= untilMs) ?? this.#looks[0];
  }
}

function isSame(one: Look, other: Look): boolean {
  return one.requests === other.requests && one.failures === other.failures && one.answers === other.answers;
}

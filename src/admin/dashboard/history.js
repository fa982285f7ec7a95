/** Computes rates, shares of traffic and failures from the totals of the last minutes. */

/** @import { Status } from "./status.d.ts" */

/** The time range of the chart and of the counts "of the last 5 minutes". */
export const HISTORY_SECONDS = 300;

/** The time range of shares and rates of single backends: short enough to see a change, long enough to be stable. */
const SHARE_SECONDS = 10;

/** A backend with a failed attempt within this time counts as failing. */
const RECENT_SECONDS = 60;

/**
 * @typedef {object} Sample
 * @property {number} at seconds since 1970, on the server's clock
 * @property {number} total requests so far
 * @property {number} failed of these
 * @property {number} retried
 * @property {number} attemptsFailed of all backends
 * @property {ReadonlyMap<string, { readonly requests: number, readonly failures: number }>} backends by id
 */

/**
 * @typedef {object} Rates what happened between two samples, per second; `null` where that is not known
 * @property {number} at
 * @property {number | null} requests
 * @property {number | null} failed
 * @property {number | null} attemptsFailed
 */

/**
 * @typedef {object} BackendTraffic
 * @property {number | null} share of all attempts in the last 10 s, 0 to 1; `null` when there was none
 * @property {number | null} perSecond
 * @property {number} failures in the last 5 minutes, as far as this page has seen
 * @property {number} recentFailures in the last minute
 */

/** The statuses of the last five minutes. A restart of the server clears them, except for the line of the chart. */
export class History {
  /** @type {Sample[]} Of one run of the server. */
  #samples = [];
  /** @type {Rates[]} */
  #rates = [];
  /** @type {string | undefined} */
  #startedAt;

  /** @param {Status} status */
  add(status) {
    if (status.startedAt !== this.#startedAt) this.#samples = [];
    this.#startedAt = status.startedAt;
    const sample = sampleOf(status);
    const { at } = sample;
    const previous = this.#samples.at(-1);
    if (previous !== undefined && at <= previous.at) return; // the same status twice
    // The clock of a server that has restarted may have been set back.
    while ((this.#rates.at(-1)?.at ?? -Infinity) >= at) this.#rates.pop();
    this.#samples.push(sample);
    this.#rates.push(ratesBetween(previous, sample));
    while ((this.#samples[0]?.at ?? at) < at - HISTORY_SECONDS) this.#samples.shift();
    while ((this.#rates[0]?.at ?? at) < at - HISTORY_SECONDS) this.#rates.shift();
  }

  /** Makes a gap in the chart until the next status. */
  interrupt() {
    const last = this.#rates.at(-1);
    if (last !== undefined && last.requests !== null) this.#rates.push({ ...NOTHING, at: last.at + 0.5 });
  }

  /** @returns {readonly Rates[]} oldest first */
  get rates() {
    return this.#rates;
  }

  /** The latest; `null`s before there are two samples. */
  get current() {
    return this.#rates.at(-1) ?? NOTHING;
  }

  /**
   * The growth of a total in the last five minutes, or since the page was opened.
   *
   * @param {"total" | "failed" | "retried"} name
   */
  increase(name) {
    return (this.#samples.at(-1)?.[name] ?? 0) - (this.#samples[0]?.[name] ?? 0);
  }

  /** For how long this page has been watching this run of the server, at most five minutes. */
  get seconds() {
    return (this.#samples.at(-1)?.at ?? 0) - (this.#samples[0]?.at ?? 0);
  }

  /** Requests a second, over the same time as the rates of backends; `null` before there are two samples. */
  get perSecond() {
    const last = this.#samples.at(-1);
    if (last === undefined) return null;
    const since = this.#lookBack(last, SHARE_SECONDS);
    return since === last ? null : Math.max(0, last.total - since.total) / (last.at - since.at);
  }

  /** @returns {ReadonlyMap<string, BackendTraffic>} by backend id */
  traffic() {
    const last = this.#samples.at(-1);
    const [oldest] = this.#samples;
    if (last === undefined || oldest === undefined) return new Map();
    const since = this.#lookBack(last, SHARE_SECONDS);
    const minuteAgo = this.#lookBack(last, RECENT_SECONDS);
    const seconds = last.at - since.at;
    const requests = new Map(
      [...last.backends].map(([id, totals]) => [id, added(totals, since.backends.get(id)).requests]),
    );
    const all = [...requests.values()].reduce((sum, count) => sum + count, 0);
    return new Map([...last.backends].map(([id, totals]) => {
      const own = requests.get(id) ?? 0;
      return [id, {
        share: all === 0 ? null : own / all,
        perSecond: seconds === 0 ? null : own / seconds,
        failures: added(totals, oldest.backends.get(id)).failures,
        recentFailures: added(totals, minuteAgo.backends.get(id)).failures,
      }];
    }));
  }

  /**
   * The sample of so many seconds ago, or the oldest since.
   *
   * @param {Sample} last
   * @param {number} seconds
   */
  #lookBack(last, seconds) {
    return this.#samples.find((sample) => sample.at >= last.at - seconds - 0.5) ?? last;
  }
}

const NO_TOTALS = { requests: 0, failures: 0 };

/** @type {Rates} */
const NOTHING = { at: 0, requests: null, failed: null, attemptsFailed: null };

/**
 * @param {Status} status
 * @returns {Sample}
 */
function sampleOf({ startedAt, uptimeSeconds, requests, backends }) {
  return {
    at: Date.parse(startedAt) / 1000 + uptimeSeconds,
    total: requests.total,
    failed: requests.failed,
    retried: requests.retried,
    attemptsFailed: backends.reduce((sum, { totalFailures }) => sum + totalFailures, 0),
    backends: new Map(
      backends.map((
        { id, totalRequests, totalFailures },
      ) => [id, { requests: totalRequests, failures: totalFailures }]),
    ),
  };
}

/**
 * @param {Sample | undefined} before
 * @param {Sample} after
 * @returns {Rates}
 */
function ratesBetween(before, after) {
  if (before === undefined) return { ...NOTHING, at: after.at };
  const seconds = after.at - before.at;
  let attemptsFailed = 0;
  for (const [id, totals] of after.backends) attemptsFailed += added(totals, before.backends.get(id)).failures;
  return {
    at: after.at,
    requests: Math.max(0, after.total - before.total) / seconds,
    failed: Math.max(0, after.failed - before.failed) / seconds,
    attemptsFailed: attemptsFailed / seconds,
  };
}

/**
 * The difference. A new backend counts from 0, and so does one that was removed and added again.
 *
 * @param {{ readonly requests: number, readonly failures: number }} now
 * @param {{ readonly requests: number, readonly failures: number } | undefined} then
 */
function added(now, then = NO_TOTALS) {
  const base = now.requests < then.requests || now.failures < then.failures ? NO_TOTALS : then;
  return { requests: now.requests - base.requests, failures: now.failures - base.failures };
}

/**
 * Computes rates, shares of traffic and errors from the totals of the last minutes, and from what the server says of the
 * last one, so that the first look shows what has happened before.
 */

import { poolsOf } from "./pools.js";

/** @import { BackendStatus, Status } from "./status.d.ts" */

/** The time range of the counts "of the last 5 minutes". */
export const HISTORY_SECONDS = 300;

/** The time range of shares and rates of single backends: short enough to see a change, long enough to be stable. */
const SHARE_SECONDS = 10;

/**
 * @typedef {object} Sample
 * @property {number} at seconds since 1970, on the server's clock
 * @property {number} total requests so far
 * @property {number} failed of these
 * @property {number} retried
 * @property {ReadonlyMap<string, Totals>} backends by id
 */

/**
 * @typedef {object} Totals of one backend so far
 * @property {string} pool
 * @property {number} requests attempts
 * @property {number} failures
 * @property {number} clientErrors answers of 4xx
 * @property {number} serverErrors answers of 5xx
 * @property {BackendStatus["lastMinute"]} lastMinute as the server says
 */

/**
 * @typedef {object} BackendTraffic
 * @property {number | null} share of the attempts of its pool in the last 10 s, 0 to 1; `null` when there was none
 * @property {number} perSecond attempts
 * @property {number} failures in the last 5 minutes, as far as this page has seen; of the last minute at least
 * @property {number} clientErrors answers of 4xx in the last 5 minutes, as `failures`
 * @property {number} serverErrors answers of 5xx, likewise
 */

/** The statuses of the last five minutes. A restart of the server clears them. */
export class History {
  /** @type {Sample[]} Of one run of the server. */
  #samples = [];
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
    this.#samples.push(sample);
    while ((this.#samples[0]?.at ?? at) < at - HISTORY_SECONDS) this.#samples.shift();
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
    const seconds = last.at - since.at;
    /** @param {string} id @param {Totals} totals */
    const perSecond = (id, totals) =>
      seconds === 0 ? totals.lastMinute.perSecond : added(totals, since.backends.get(id)).requests / seconds;
    const rates = new Map([...last.backends].map(([id, totals]) => [id, perSecond(id, totals)]));
    /** @type {Map<string, number>} */
    const ofPools = new Map();
    for (const [id, { pool }] of last.backends) ofPools.set(pool, (ofPools.get(pool) ?? 0) + (rates.get(id) ?? 0));
    return new Map([...last.backends].map(([id, totals]) => {
      const own = rates.get(id) ?? 0;
      const all = ofPools.get(totals.pool) ?? 0;
      const seen = added(totals, oldest.backends.get(id));
      const { lastMinute } = totals;
      return [id, {
        share: all === 0 ? null : own / all,
        perSecond: own,
        failures: Math.max(seen.failures, lastMinute.failures),
        clientErrors: Math.max(seen.clientErrors, lastMinute["4xx"]),
        serverErrors: Math.max(seen.serverErrors, lastMinute["5xx"]),
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

const NO_TOTALS = { requests: 0, failures: 0, clientErrors: 0, serverErrors: 0 };

/**
 * @param {Status} status
 * @returns {Sample}
 */
function sampleOf(status) {
  const { startedAt, uptimeSeconds, requests } = status;
  const backends = new Map(
    poolsOf(status).flatMap((pool) => pool.backends.map((backend) => [backend.id, totalsOf(pool.name, backend)])),
  );
  return {
    at: Date.parse(startedAt) / 1000 + uptimeSeconds,
    total: requests.total,
    failed: requests.failed,
    retried: requests.retried,
    backends,
  };
}

/**
 * @param {string} pool
 * @param {BackendStatus} backend
 * @returns {Totals}
 */
function totalsOf(pool, { totalRequests, totalFailures, responses, lastMinute }) {
  return {
    pool,
    requests: totalRequests,
    failures: totalFailures,
    clientErrors: responses["4xx"],
    serverErrors: responses["5xx"],
    lastMinute,
  };
}

/**
 * The difference. A new backend counts from 0, and so does one that was removed and added again.
 *
 * @param {Totals} now
 * @param {typeof NO_TOTALS} [then]
 */
function added(now, then = NO_TOTALS) {
  const base = now.requests < then.requests || now.failures < then.failures ? NO_TOTALS : then;
  return {
    requests: now.requests - base.requests,
    failures: now.failures - base.failures,
    clientErrors: now.clientErrors - base.clientErrors,
    serverErrors: now.serverErrors - base.serverErrors,
  };
}

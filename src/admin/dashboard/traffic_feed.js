/** Asks the server for the traffic of the last five minutes: all of it, or that of one pool or route. */

import { ApiError } from "./api.js";
import { DEFAULT_POOL } from "./pools.js";

/** @import { HistoryView } from "./status.d.ts" */

/** @typedef {{ readonly kind: "pool" | "route", readonly name: string }} Filter */

/**
 * @typedef {object} Second what happened in one second
 * @property {number} at seconds since 1970, on the server's clock
 * @property {number} requests
 * @property {number} failed
 * @property {number} serverErrors
 * @property {number} failedAttempts
 */

/**
 * @typedef {object} Total of all traffic in the time that the server remembers, at most five minutes
 * @property {number} seconds
 * @property {number} failed
 */

/** One for the page. */
export class TrafficFeed {
  #call;
  #show;
  /** @type {Filter | undefined} */
  #filter;
  #isAsking = false;

  /**
   * @param {(path: string) => Promise<HistoryView>} call
   * @param {(seconds: readonly Second[], filter: Filter | undefined, total: Total) => void} show called with each
   * answer
   */
  constructor(call, show) {
    this.#call = call;
    this.#show = show;
  }

  /** What is shown; `undefined`: all traffic. */
  get filter() {
    return this.#filter;
  }

  /** @param {Filter | undefined} filter */
  async choose(filter) {
    this.#filter = filter;
    this.#isAsking = false; // the answer that is awaited is about something else
    await this.refresh();
  }

  /** Asks, unless it is asking already. If the pool or the route has gone, all traffic is shown from now on. */
  async refresh() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const filter = this.#filter;
    try {
      const view = await this.#call(pathFor(filter));
      if (filter === this.#filter) this.#show(secondsOf(view, filter), filter, totalOf(view));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404 && filter === this.#filter) this.#filter = undefined;
      // For other errors: figures come again with the next second, or the page says that the connection is lost.
    } finally {
      if (filter === this.#filter) this.#isAsking = false;
    }
  }
}

/**
 * @param {HistoryView} view
 * @returns {Total}
 */
function totalOf({ seconds, total }) {
  return { seconds, failed: Math.round(total.failed.reduce((sum, failed) => sum + failed, 0)) };
}

/** @param {Filter | undefined} filter */
function pathFor(filter) {
  // Without a name, the answer would have every pool and every route.
  const { kind, name } = filter ?? { kind: "pool", name: DEFAULT_POOL };
  return `history?${kind}=${encodeURIComponent(name)}`;
}

/**
 * @param {HistoryView} view
 * @param {Filter | undefined} filter
 * @returns {readonly Second[]}
 */
function secondsOf({ from, seconds, total, pools, routes }, filter) {
  const series = filter === undefined ? total : (filter.kind === "pool" ? pools : routes)[filter.name];
  if (series === undefined) return [];
  const first = Date.parse(from) / 1000;
  return Array.from({ length: seconds }, (_, index) => ({
    at: first + index + 1, // its end
    requests: series.requests[index] ?? 0,
    failed: series.failed[index] ?? 0,
    serverErrors: series["5xx"][index] ?? 0,
    failedAttempts: series.failedAttempts[index] ?? 0,
  }));
}

/**
 * The counts of routes: answers by class of status, failures and durations. There is room for `ROUTES` routes; the
 * others are counted together.
 *
 * The places are in shared memory, so that all isolates agree without messages. The control plane gives each label a
 * place before it puts a configuration in force, and a label that stays keeps its place and its counts. The other
 * isolates look the places up when they get the configuration.
 */

import { GUARD_NAMES, type GuardName } from "../errors.ts";
import type { Arena } from "./arena.ts";
import type { TrafficSums } from "./pool_counts.ts";
import { type Percentiles, RecentTimes } from "./recent_times.ts";
import { RoutePlaces } from "./route_places.ts";
import { ROUTES, type SlotUse } from "./slots.ts";
import { CLASS_CELLS, FIRST_CELL, type Histogram, HISTOGRAM_CELLS, Stripes } from "./stripes.ts";

/** The place of all routes that have none of their own. */
export const OTHER_ROUTES: SlotUse = { slot: ROUTES, generation: 0 };

/** The place of requests that no route decides about. Only what guards refuse is counted there. */
export const NO_ROUTE: SlotUse = { slot: ROUTES + 1, generation: 0 };

const PLACES = ROUTES + 2;

/** Counts of the requests of one route, or of `OTHER_ROUTES`. */
export interface RouteFigures {
  /** Requests by the first digit of the status: 1 to 9 at index 0 to 8. */
  readonly byClass: readonly number[];
  /** Those that roundhouse itself answered with 5xx, or had to cut. */
  readonly failed: number;
  /** Durations of all requests that did not become tunnels. */
  readonly durations: Histogram;
  /** Durations of the last minute; `null`: there were none. */
  readonly recent: Percentiles | null;
}

/** One request of a route at its end. */
export interface RouteCount {
  readonly status: number;
  readonly failed: boolean;
  readonly durationMs: number;
}

// The cells of a stripe.
const CLASS = FIRST_CELL;
const FAILED = CLASS + CLASS_CELLS;
const DURATIONS = FAILED + 1;
const REFUSED = DURATIONS + HISTOGRAM_CELLS; // one cell for each guard
const OVER_LIMIT = REFUSED + GUARD_NAMES.length;
const CELLS = OVER_LIMIT + 1;

/** One isolate's view of the counts. */
export class RouteCounts {
  readonly #places: RoutePlaces;
  readonly #stripes: Stripes;
  readonly #recent: RecentTimes;

  static lines(isolates: number): number {
    return RoutePlaces.lines + Stripes.lines(isolates, PLACES, CELLS) + RecentTimes.lines(ROUTES + 1);
  }

  constructor(arena: Arena) {
    this.#places = new RoutePlaces(arena);
    this.#stripes = new Stripes(arena, PLACES, CELLS);
    this.#recent = new RecentTimes(arena, ROUTES + 1);
  }

  /**
   * Gives each of these labels a place, as long as there are places. Labels that are left out lose theirs. Control plane
   * only.
   */
  assign(labels: readonly string[]): void {
    for (const { slot } of this.#places.assign(labels)) this.#recent.reset(slot);
  }

  /** Finds the places of labels, in the same order; `OTHER_ROUTES` for those without one. */
  find(labels: readonly string[]): readonly SlotUse[] {
    const found = this.#places.finder();
    return labels.map((label) => found(label) ?? OTHER_ROUTES);
  }

  /** Counts a request. Call it once, when the request has ended. */
  count(route: SlotUse, { status, failed, durationMs }: RouteCount, nowMs = Date.now()): void {
    const stripes = this.#stripes;
    const stripe = this.#toWrite(route);
    if (stripe === undefined) return;
    stripes.countStatus(stripe + CLASS, status);
    if (failed) stripes.add(stripe + FAILED, 1);
    if (status === 101) return; // how long a tunnel lasts is no response time
    stripes.observe(stripe + DURATIONS, durationMs);
    this.#recent.record(route.slot, durationMs, nowMs);
  }

  /** Counts a request that a guard has refused. */
  countRefusal(route: SlotUse, guard: GuardName): void {
    const stripe = this.#toWrite(route);
    if (stripe !== undefined) this.#stripes.add(stripe + REFUSED + GUARD_NAMES.indexOf(guard), 1);
  }

  /** Requests that a guard has refused, of all isolates. */
  refused(route: SlotUse, guard: GuardName): number {
    return this.#stripes.sum(this.#stripes.toRead(route), REFUSED + GUARD_NAMES.indexOf(guard));
  }

  /** Counts a request that is over a limit, whether it was refused for that or not. */
  countOverLimit(route: SlotUse): void {
    const stripe = this.#toWrite(route);
    if (stripe !== undefined) this.#stripes.add(stripe + OVER_LIMIT, 1);
  }

  /** Requests over a limit, of all isolates. */
  overLimit(route: SlotUse): number {
    return this.#stripes.sum(this.#stripes.toRead(route), OVER_LIMIT);
  }

  #toWrite(route: SlotUse): number | undefined {
    return route.slot >= ROUTES || this.#places.isLatest(route) ? this.#stripes.toWrite(route) : undefined;
  }

  /** Those of the counts of a route that the history keeps, of all isolates. */
  sums(route: SlotUse): TrafficSums {
    const stripes = this.#stripes.toRead(route);
    let requests = 0;
    for (let index = 0; index < CLASS_CELLS; index++) requests += this.#stripes.sum(stripes, CLASS + index);
    return {
      requests,
      failed: this.#stripes.sum(stripes, FAILED),
      "4xx": this.#stripes.sum(stripes, CLASS + 3),
      "5xx": this.#stripes.sum(stripes, CLASS + 4),
    };
  }

  /** The counts of a route, of all isolates. */
  figures(route: SlotUse, nowMs = Date.now()): RouteFigures {
    const stripes = this.#stripes.toRead(route);
    return {
      byClass: this.#stripes.byClass(stripes, CLASS),
      failed: this.#stripes.sum(stripes, FAILED),
      durations: this.#stripes.histogram(stripes, DURATIONS),
      recent: this.#recent.percentiles([route.slot], nowMs),
    };
  }
}

/** Where the requests of a route's entry go: to one pool, or to the sides of a split. */

import type { Stickiness, StickyRequest } from "../balancing/sticky.ts";
import type { RoutedRequest } from "./condition.ts";
import type { PoolRuntime } from "./pool_runtime.ts";
import { Split, type SplitBy } from "./split.ts";

/** One side of a split. */
interface PoolSide {
  readonly id: string;
  readonly weight: number;
  readonly pool: PoolRuntime;
}

/** A side with sessions. */
interface StickySide {
  readonly pool: PoolRuntime;
  readonly stickiness: Stickiness;
}

/** Built once for a configuration. */
export class Destination {
  /** `undefined`: only one pool takes requests. */
  readonly #split: Split<PoolSide> | undefined;
  /** The pool that takes requests, if it is the only one. */
  readonly #only: PoolRuntime | undefined;
  /** The sides whose sessions decide, in the order of the file. */
  readonly #sticky: readonly StickySide[];

  /**
   * @param weights of the pools by name; one of them is above 0
   * @param pools all pools that there are
   */
  constructor(weights: Readonly<Record<string, number>>, by: SplitBy, pools: ReadonlyMap<string, PoolRuntime>) {
    const sides = Object.entries(weights).map(([id, weight]) => {
      const pool = pools.get(id);
      if (pool === undefined) throw new Error(`there is no pool ${id}`);
      return { id, weight, pool };
    });
    const open = sides.filter(({ weight }) => weight > 0);
    this.#split = open.length > 1 ? new Split(by, sides) : undefined;
    this.#only = open.length > 1 ? undefined : open[0]?.pool;
    this.#sticky = open.flatMap(({ pool }) => {
      return pool.stickiness === undefined ? [] : [{ pool, stickiness: pool.stickiness }];
    });
  }

  /**
   * The pool for a request. A session keeps its client at the side whose backend it names, whatever the split says, and
   * whether that backend still serves or not.
   */
  poolFor(request: RoutedRequest & StickyRequest): PoolRuntime | undefined {
    if (this.#split === undefined) return this.#only;
    for (const { pool, stickiness } of this.#sticky) {
      if (stickiness.peek(request) !== undefined) return pool;
    }
    return this.#split.sideFor(request)?.pool;
  }
}

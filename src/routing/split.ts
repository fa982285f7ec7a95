/** Divides the requests of a route among several sides by weight. */

import { Rendezvous } from "../balancing/rendezvous.ts";
import { smoothSchedule } from "../balancing/schedule.ts";
import { cookieValue } from "../http1/cookie.ts";
import type { RoutedRequest } from "./condition.ts";

/** What keeps a request at its side. */
export type SplitBy =
  | { readonly kind: "client" | "request" }
  | { readonly kind: "header" | "cookie"; readonly name: string };

/** One side of a split. */
export interface Side {
  /** The name of its pool. */
  readonly id: string;
  /** 0 to 1,000; 0: it takes no requests. */
  readonly weight: number;
}

const EVERYBODY = { accepts: () => true };

/**
 * The same client, or the same value of a header or cookie, always gets the same side: in every isolate, process and replica,
 * whatever the weights were before. When weights change, requests move only to a side whose weight has grown against that of
 * their own. So no more move than must, between two sides or if one weight changes. With more sides and changes, nothing that
 * goes by the present weights alone could promise that.
 */
export class Split<Of extends Side> {
  readonly #by: SplitBy;
  readonly #sides: readonly Of[];
  readonly #rendezvous: Rendezvous<Of>;
  readonly #schedule: Uint16Array;
  #turn = 0;

  /** @param sides one of them at least with a weight above 0 */
  constructor(by: SplitBy, sides: readonly Of[]) {
    const open = sides.filter(({ weight }) => weight > 0);
    const weights = open.map(({ weight }) => weight);
    this.#by = by;
    this.#sides = open;
    this.#rendezvous = new Rendezvous(open, weights);
    this.#schedule = smoothSchedule(weights);
  }

  /** The sides that take requests. */
  get sides(): readonly Of[] {
    return this.#sides;
  }

  /** Returns the request's side. With `request` each call is another request, and takes another turn. */
  sideFor(request: RoutedRequest): Of | undefined {
    const key = this.keyOf(request);
    if (key !== undefined) return this.#rendezvous.pick(key, EVERYBODY);
    const turn = this.#turn;
    this.#turn = (turn + 1) % this.#schedule.length;
    return this.#sides[this.#schedule[turn] ?? 0];
  }

  /** What decides about the request; `undefined`: the turn does. Without the header or the cookie the client decides. */
  keyOf(request: RoutedRequest): string | undefined {
    switch (this.#by.kind) {
      case "request":
        return undefined;
      case "client":
        return request.client;
      case "header":
        return request.header(this.#by.name) || request.client;
      case "cookie":
        return cookieValue(request.header("cookie"), this.#by.name) || request.client;
    }
  }
}

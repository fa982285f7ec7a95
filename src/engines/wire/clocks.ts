/** The time limits of requests. Each route may have others. */

import type { RequestTimeouts } from "../../proxy/exchange.ts";
import { TimeoutQueue } from "./timeouts.ts";

/** The clocks for requests with the same limits. */
export class Clocks {
  /** For connecting to a backend. */
  readonly connect: TimeoutQueue;
  /** For the head of its answer. */
  readonly response: TimeoutQueue;
  /** For the next byte of a body. */
  readonly idle: TimeoutQueue;
  /** For a whole request; `undefined`: there is no limit. */
  readonly request: TimeoutQueue | undefined;

  constructor({ connectMs, responseMs, idleMs, requestMs }: RequestTimeouts) {
    this.connect = new TimeoutQueue(connectMs, { startsAnew: true });
    this.response = new TimeoutQueue(responseMs, { startsAnew: true });
    this.idle = new TimeoutQueue(idleMs, { startsAnew: true });
    this.request = requestMs === 0 ? undefined : new TimeoutQueue(requestMs);
  }

  get running(): boolean {
    return this.connect.running || this.response.running || this.idle.running || this.request?.running === true;
  }

  close(): void {
    for (const queue of [this.connect, this.response, this.idle, this.request]) queue?.close();
  }
}

/** Owns the clocks of one engine. */
export class ClockRoom {
  /** Of configurations in force, and of earlier ones while requests go by them. */
  readonly #clocks = new Map<RequestTimeouts, Clocks>();
  #lastLimits: RequestTimeouts | undefined;
  #last: Clocks | undefined;

  /** Returns the clocks for these limits. Requests with the same ones share them. */
  for(limits: RequestTimeouts): Clocks {
    if (this.#last !== undefined && limits === this.#lastLimits) return this.#last; // the usual case
    let clocks = this.#clocks.get(limits);
    if (clocks === undefined) this.#clocks.set(limits, clocks = new Clocks(limits));
    this.#lastLimits = limits;
    return this.#last = clocks;
  }

  /**
   * Forgets the clocks that no request has started, because the configuration was replaced. A request that has begun and
   * starts one later still can.
   */
  tidy(): void {
    for (const [limits, clocks] of this.#clocks) {
      if (!clocks.running) this.#clocks.delete(limits);
    }
    this.#last = this.#lastLimits = undefined;
  }

  close(): void {
    for (const clocks of this.#clocks.values()) clocks.close();
  }
}

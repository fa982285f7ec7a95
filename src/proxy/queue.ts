/** Where requests wait while every backend that could serve them is at `maxConnections`. */

import { ProxyError } from "../errors.ts";
import type { Lease } from "../pool/backend.ts";
import type { RequestMetrics } from "../pool/request_metrics.ts";
import type { SharedState } from "../pool/shared_state.ts";

/** How often the queue looks for what no release in this isolate tells: clients gone, waits over, changes of the pool. */
const LOOK_EVERY_MS = 5;

/** A request that waits. */
export interface Waiter {
  /** Takes a place at a backend, if one has come free. */
  tryLease(): Lease | undefined;
  /** Why waiting is pointless now, if it is: no backend is left, or the client has gone. */
  readonly hopeless: ProxyError | undefined;
}

interface Place {
  readonly waiter: Waiter;
  readonly since: number;
  readonly until: number;
  readonly admit: (lease: Lease) => void;
  readonly refuse: (error: ProxyError) => void;
}

/** As the configuration's `queue` says it. */
export interface QueueLimits {
  /** The most requests that wait at once, of all isolates; 0: no queue. */
  readonly size: number;
  readonly timeoutMs: number;
}

/** The queue of one isolate: first in, first out. Its size counts over all isolates. */
export class RequestQueue {
  readonly #shared: SharedState;
  readonly #metrics: RequestMetrics;
  #limits: QueueLimits;
  readonly #places: Place[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(shared: SharedState, metrics: RequestMetrics, limits: QueueLimits) {
    this.#shared = shared;
    this.#metrics = metrics;
    this.#limits = limits;
  }

  /** Other limits for those who come from now on. */
  configure(limits: QueueLimits): void {
    this.#limits = limits;
  }

  /** Waits for a place; rejects with a `ProxyError` when the queue is full, the wait too long or waiting pointless. */
  wait(waiter: Waiter): Promise<Lease> {
    const { size, timeoutMs } = this.#limits;
    const { promise, resolve: admit, reject: refuse } = Promise.withResolvers<Lease>();
    if (!this.#shared.joinQueue(size)) {
      refuse(queueError("the queue is full"));
      return promise;
    }
    const since = performance.now();
    this.#places.push({ waiter, since, until: since + timeoutMs, admit, refuse });
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
    return promise;
  }

  /** A connection of this isolate has ended: gives its place to the first in the queue that can use it. */
  wake(): void {
    for (let index = 0; index < this.#places.length;) {
      const place = this.#places[index];
      const lease = place?.waiter.hopeless === undefined ? place?.waiter.tryLease() : undefined;
      if (place === undefined || lease === undefined) {
        index++;
        continue;
      }
      this.#leave(index);
      place.admit(lease);
    }
  }

  #look(): void {
    const now = performance.now();
    for (let index = 0; index < this.#places.length;) {
      const place = this.#places[index];
      const error = place?.waiter.hopeless ??
        (place !== undefined && now > place.until ? queueError("queue.timeout has passed") : undefined);
      if (place === undefined || error === undefined) {
        index++;
        continue;
      }
      this.#leave(index);
      place.refuse(error);
    }
    this.wake();
  }

  #leave(index: number): void {
    const [place] = this.#places.splice(index, 1);
    this.#shared.leaveQueue();
    if (place !== undefined) this.#metrics.countWait(performance.now() - place.since);
    if (this.#places.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function queueError(message: string): ProxyError {
  return new ProxyError(message, { code: "queue_full", side: "proxy", requestSent: false });
}

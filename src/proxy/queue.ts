/** Where requests wait: for room while all backends are at `maxConnections`, or for a backend to come back. */

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
  /** Whether it waits for a backend to come back: `queue.timeout` does not apply then. */
  readonly held: boolean;
}

interface Place {
  readonly waiter: Waiter;
  readonly since: number;
  until: number;
  held: boolean;
  readonly admit: (lease: Lease) => void;
  readonly refuse: (error: ProxyError) => void;
}

/** As the configuration's `queue` says it. */
export interface QueueLimits {
  /** The most requests that wait at once, of all isolates; 0: no queue. */
  readonly size: number;
  readonly timeoutMs: number;
  /** How long after the last backend was marked down requests wait for one to come back. */
  readonly holdMs: number;
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

  /** Whether requests still wait for a backend, when the last one was marked down at `lostAtMs`. */
  holds(lostAtMs: number): boolean {
    const goneMs = Date.now() - lostAtMs;
    return this.#limits.size > 0 && goneMs >= 0 && goneMs < this.#limits.holdMs;
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
    const place = { waiter, since, until: since + timeoutMs, held: false, admit, refuse };
    this.#holdOrNot(place, since);
    this.#places.push(place);
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
      if (place !== undefined) this.#holdOrNot(place, now);
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

  /** Backends may come back full, and those that are full may be lost: each time another kind of wait begins. */
  #holdOrNot(place: Place, now: number): void {
    const { held } = place.waiter;
    if (held === place.held) return;
    place.held = held;
    place.until = held ? Infinity : now + this.#limits.timeoutMs;
    if (held) this.#shared.startHold();
    else this.#shared.endHold();
  }

  #leave(index: number): void {
    const [place] = this.#places.splice(index, 1);
    if (place?.held === true) this.#shared.endHold();
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

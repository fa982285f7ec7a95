/** The queue. Requests wait for room while all backends are at `maxConnections`, or for a backend to come back. */

import type { ProxyError } from "../errors.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import type { RequestMetrics } from "../memory/request_metrics.ts";
import { ANY, NO_TICKET, type WaitingLine } from "../memory/waiting_line.ts";
import { queueFull } from "../failures.ts";

/** How often the queue checks for clients that left, waits that are over, and changes of the pool. */
const LOOK_EVERY_MS = 5;

const WHOEVER: readonly number[] = [ANY];

/** A request that waits. */
export interface Waiter {
  /** Takes a place at a backend, if one is free and no request with an older ticket waits for it. */
  tryLease(ticket: number): Lease | undefined;
  /**
   * Why waiting is pointless now: no backend is left, or the client has left. `undefined`: it is not. The queue reads
   * this first, because it updates `held` and `slots`.
   */
  readonly hopeless: ProxyError | undefined;
  /** Whether the request waits for a backend to come back. `queue.timeout` does not apply then. */
  readonly held: boolean;
  /** The slots of the backends that the request waits for; `undefined`: any eligible backend. */
  readonly slots: readonly number[] | undefined;
  readonly limits: QueueLimits;
}

/** A request that waits, with its ticket. */
interface QueueEntry {
  readonly waiter: Waiter;
  readonly ticket: number;
  readonly since: number;
  until: number;
  held: boolean;
  /** The lines that the request is in. */
  slots: readonly number[];
  readonly admit: (lease: Lease) => void;
  readonly refuse: (error: ProxyError) => void;
}

/** The settings in `queue`. */
export interface QueueLimits {
  /** How many requests may wait at once, of all isolates; 0: there is no queue. */
  readonly size: number;
  readonly timeoutMs: number;
  /** How long requests wait for a backend to come back after the last one was marked down. */
  readonly holdMs: number;
}

/**
 * One isolate's part of the queue. The queue is first in, first out over all isolates: each isolate keeps its own
 * requests, shows the others the oldest of them, and lets older requests of others go first.
 */
export class RequestQueue {
  readonly #shared: WaitingLine;
  readonly #metrics: RequestMetrics;
  /** In the order of the tickets. */
  readonly #entries = new Set<QueueEntry>();
  /**
   * By slot: the requests that wait for this backend, in the order of their tickets. `ANY`: those that wait for any
   * backend.
   */
  readonly #lines = new Map<number, QueueEntry[]>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #listening = false;

  constructor(shared: WaitingLine, metrics: RequestMetrics) {
    this.#shared = shared;
    this.#metrics = metrics;
  }

  /**
   * Waits for a place. Rejects with a `ProxyError` when the queue is full, the wait takes too long, or waiting is
   * pointless.
   */
  wait(waiter: Waiter): Promise<Lease> {
    const { size, timeoutMs } = waiter.limits;
    const { promise, resolve: admit, reject: refuse } = Promise.withResolvers<Lease>();
    const ticket = this.#shared.join(size);
    if (ticket === NO_TICKET) {
      refuse(queueFull("the queue is full"));
      return promise;
    }
    const since = performance.now();
    const entry = { waiter, ticket, since, until: since + timeoutMs, held: false, slots: [], admit, refuse };
    this.#entries.add(entry);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#shared.beSeen();
    this.#listen();
    this.#update(entry, since);
    // A place that became free before the ticket was visible was given to nobody. So the queue looks once more.
    for (const slot of entry.slots) if (this.#lines.get(slot)?.[0] === entry) this.#serve(slot);
    return promise;
  }

  /** A connection of this isolate has ended. Its place goes to the oldest request that can use it, in any isolate. */
  released({ slot }: Backend): void {
    if (this.#shared.empty || !this.#shared.tell(slot)) return;
    this.#serve(slot);
    this.#serve(ANY);
  }

  /** Gives places to the requests that wait for this slot, as long as there are places. */
  #serve(slot: number): void {
    while (true) {
      const entry = this.#lines.get(slot)?.[0];
      if (entry === undefined) return;
      const error = entry.waiter.hopeless;
      const lease = error === undefined ? entry.waiter.tryLease(entry.ticket) : undefined;
      if (error === undefined && lease === undefined) return;
      this.#leave(entry);
      if (error !== undefined) entry.refuse(error);
      if (lease === undefined) continue;
      entry.admit(lease);
      if (lease.backend.hasRoom) this.#shared.tell(lease.backend.slot); // two rings may have woken only one request
    }
  }

  #serveAll(): void {
    this.#shared.beSeen();
    for (const slot of [...this.#lines.keys()]) this.#serve(slot);
  }

  #look(): void {
    const now = performance.now();
    for (const entry of this.#entries) {
      const hopeless = entry.waiter.hopeless;
      this.#update(entry, now);
      const error = hopeless ?? (now > entry.until ? queueFull("queue.timeout has passed") : undefined);
      if (error === undefined) continue;
      this.#leave(entry);
      entry.refuse(error);
    }
    this.#serveAll();
  }

  /** Waits for rings: other isolates ring when there is a place for a request that waits here. */
  #listen(): void {
    if (this.#listening) return;
    const rung = this.#shared.rung();
    if (rung === undefined) return;
    this.#listening = true;
    rung.then(() => {
      this.#listening = false;
      if (this.#entries.size === 0) return;
      this.#listen(); // before it serves, so that no ring is missed
      this.#serveAll();
    });
  }

  /**
   * Notes what a request waits for now. This changes when backends come back full, full ones are lost, or sessions end.
   */
  #update(entry: QueueEntry, now: number): void {
    const { held, slots = WHOEVER } = entry.waiter;
    if (!areEqual(slots, entry.slots)) {
      this.#leaveLines(entry);
      entry.slots = slots;
      for (const slot of slots) this.#joinLine(entry, slot);
    }
    if (held === entry.held) return;
    entry.held = held;
    entry.until = held ? Infinity : now + entry.waiter.limits.timeoutMs;
    if (held) this.#shared.startHold();
    else this.#shared.endHold();
  }

  #joinLine(entry: QueueEntry, slot: number): void {
    const line = this.#lines.get(slot) ?? [];
    this.#lines.set(slot, line);
    const before = line.findLastIndex(({ ticket }) => (ticket - entry.ticket | 0) < 0);
    line.splice(before + 1, 0, entry);
    if (before === -1) this.#shared.show(slot, entry.ticket);
  }

  #leaveLines(entry: QueueEntry): void {
    for (const slot of entry.slots) {
      const line = this.#lines.get(slot) ?? [];
      const index = line.indexOf(entry);
      line.splice(index, 1);
      if (index === 0) this.#shared.show(slot, line[0]?.ticket ?? NO_TICKET);
      if (line.length === 0) this.#lines.delete(slot);
    }
  }

  #leave(entry: QueueEntry): void {
    this.#entries.delete(entry);
    this.#leaveLines(entry);
    if (entry.held) this.#shared.endHold();
    this.#shared.leave();
    this.#metrics.countWait(performance.now() - entry.since);
    if (this.#entries.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Whether requests still wait for a backend to come back, if the last one was marked down at `lostAtMs`. */
export function holds({ size, holdMs }: QueueLimits, lostAtMs: number): boolean {
  const goneMs = Date.now() - lostAtMs;
  return size > 0 && goneMs >= 0 && goneMs < holdMs;
}

function areEqual(some: readonly number[], others: readonly number[]): boolean {
  return some === others || (some.length === others.length && some.every((slot, index) => slot === others[index]));
}

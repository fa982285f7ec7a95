/** Where requests wait: for room while all backends are at `maxConnections`, or for a backend to come back. */

import type { ProxyError } from "../errors.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import type { RequestMetrics } from "../memory/request_metrics.ts";
import { ANY, NO_TICKET, type WaitingLine } from "../memory/waiting_line.ts";
import { queueFull } from "../failures.ts";

/** How often the queue looks for what nobody tells it: clients gone, waits over, changes of the pool. */
const LOOK_EVERY_MS = 5;

const WHOEVER: readonly number[] = [ANY];

/** A request that waits. */
export interface Waiter {
  /** Takes a place at a backend, if one has come free and nobody with an older ticket waits for it. */
  tryLease(ticket: number): Lease | undefined;
  /**
   * Why waiting is pointless now, if it is: no backend is left, or the client has gone. Asked first: `held` and `slots`
   * say what was found then.
   */
  readonly hopeless: ProxyError | undefined;
  /** Whether it waits for a backend to come back: `queue.timeout` does not apply then. */
  readonly held: boolean;
  /** The slots of the backends that it waits for; `undefined`: whichever is eligible will do. */
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
  /** The lines that it stands in. */
  slots: readonly number[];
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

/**
 * One isolate's part of the queue. It is first in, first out over all isolates: each keeps its own requests, shows the
 * others the oldest of them and lets older ones of others go first.
 */
export class RequestQueue {
  readonly #shared: WaitingLine;
  readonly #metrics: RequestMetrics;
  /** In the order of their tickets. */
  readonly #entries = new Set<QueueEntry>();
  /** By slot, and for `ANY`: those that wait for this backend, or for any, in the order of their tickets. */
  readonly #lines = new Map<number, QueueEntry[]>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #listening = false;

  constructor(shared: WaitingLine, metrics: RequestMetrics) {
    this.#shared = shared;
    this.#metrics = metrics;
  }

  /** Waits for a place; rejects with a `ProxyError` when the queue is full, the wait too long or waiting pointless. */
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
    // A place that came free before the ticket was to be seen was nobody's.
    for (const slot of entry.slots) if (this.#lines.get(slot)?.[0] === entry) this.#serve(slot);
    return promise;
  }

  /** A connection of this isolate has ended: its place goes to the oldest that can use it, wherever that waits. */
  released({ slot }: Backend): void {
    if (this.#shared.empty || !this.#shared.tell(slot)) return;
    this.#serve(slot);
    this.#serve(ANY);
  }

  /** Gives places to those who wait for this slot, as far as there are any. */
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
      if (lease.backend.hasRoom) this.#shared.tell(lease.backend.slot); // of two rings for two places one may do nothing
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

  /** Other isolates ring when a place is for one that waits here. */
  #listen(): void {
    if (this.#listening) return;
    const rung = this.#shared.rung();
    if (rung === undefined) return;
    this.#listening = true;
    rung.then(() => {
      this.#listening = false;
      if (this.#entries.size === 0) return;
      this.#listen(); // before the look, so that no ring is missed
      this.#serveAll();
    });
  }

  /** Goes by what a request waits for now: backends come back full, full ones are lost, sessions end. */
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

/** Whether requests still wait for a backend, when the last one was marked down at `lostAtMs`. */
export function holds({ size, holdMs }: QueueLimits, lostAtMs: number): boolean {
  const goneMs = Date.now() - lostAtMs;
  return size > 0 && goneMs >= 0 && goneMs < holdMs;
}

function areEqual(some: readonly number[], others: readonly number[]): boolean {
  return some === others || (some.length === others.length && some.every((slot, index) => slot === others[index]));
}

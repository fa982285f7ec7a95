/**
 * The order of the requests that wait for a backend of a pool, over all isolates.
 *
 * A request that joins gets a ticket. The lower ticket is the older. Each isolate shows the oldest ticket of its
 * requests that wait for any eligible backend. For each backend that some of its requests need, such as a session's, it
 * also shows the oldest of their tickets. So all isolates see which request is next, at the same cost for a line of any
 * length, and each writes tickets to its own cells only. An isolate that has not been seen for a while is busy with
 * something else, or dead. Its tickets then delay no others.
 */

import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";
import { SLOTS } from "./slots.ts";

// Cache line of the pool, in 32-bit cells.
const WAITING = 0; // requests of all isolates; the count for the limit
const LAST_TICKET = 1;

// Cache line of an isolate, in 32-bit cells.
const QUEUED = 0;
const HOLDING = 1;
const BELL = 2; // how often other isolates have rung
const SEEN_AT = 3; // the low bits of the milliseconds since the Unix epoch
const FOR_ANY = 4;

/** No ticket: the request does not wait, or no request waits. */
export const NO_TICKET = 0;

/** Used in place of a slot: any eligible backend. */
export const ANY = -1;

/** An isolate's tickets don't count if it has not been seen for this long: ten looks of the queue. */
const ABSENT_MS = 50;

/** The oldest ticket that waits, and the isolate where it waits. */
interface First {
  readonly ticket: number;
  readonly isolate: number;
}

/** What a request asks for when it wants to take a place. */
export interface Claim {
  readonly slot: number;
  /** `NO_TICKET`: it does not wait yet. */
  readonly ticket: number;
  /** How many more connections the backend may have. */
  readonly room: number;
  /** Whether requests that wait for any backend could use this one. */
  readonly open: boolean;
}

/**
 * The oldest tickets that wait for one certain backend, of all pools. There is a cell for each isolate and slot. That
 * is enough, because a slot belongs to one pool.
 */
export class BoundTickets {
  readonly #words: Int32Array;
  readonly #isolate: number;

  static lines(isolates: number): number {
    return isolates * linesFor(SLOTS, LINE_WORDS);
  }

  constructor(arena: Arena) {
    this.#words = arena.take(BoundTickets.lines(arena.isolates)).words;
    this.#isolate = arena.isolate;
  }

  get(isolate: number, slot: number): number {
    return Atomics.load(this.#words, isolate * SLOTS + slot);
  }

  /** Sets the ticket of this isolate. */
  set(slot: number, ticket: number): void {
    Atomics.store(this.#words, this.#isolate * SLOTS + slot, ticket);
  }

  /** Removes the tickets of an isolate that has ended. */
  reclaim(isolate: number): void {
    for (let cell = isolate * SLOTS; cell < (isolate + 1) * SLOTS; cell++) {
      if (Atomics.load(this.#words, cell) !== NO_TICKET) Atomics.store(this.#words, cell, NO_TICKET);
    }
  }
}

/** One isolate's view of the line. */
export class WaitingLine {
  readonly #words: Int32Array;
  readonly #isolates: number;
  readonly #isolate: number;
  readonly #tickets: BoundTickets;

  static lines(isolates: number): number {
    return 1 + isolates;
  }

  constructor(arena: Arena, tickets: BoundTickets) {
    this.#words = arena.take(WaitingLine.lines(arena.isolates)).words;
    this.#isolates = arena.isolates;
    this.#isolate = arena.isolate;
    this.#tickets = tickets;
  }

  /**
   * Prepares an unused line for a new pool. Isolates may still listen to the bells of the pool that had it before: they
   * stop.
   */
  reset(): void {
    this.#words.fill(0);
    for (let isolate = 0; isolate < this.#isolates; isolate++) Atomics.notify(this.#words, this.#cell(isolate, BELL));
  }

  /** Whether no request waits. If so, a request need not ask anything else here. */
  get empty(): boolean {
    return Atomics.load(this.#words, WAITING) === 0;
  }

  /** Counts a request that waits, and returns its ticket; `NO_TICKET`: `most` requests of all isolates wait already. */
  join(most: number): number {
    while (true) {
      const waiting = Atomics.load(this.#words, WAITING);
      if (waiting >= most) return NO_TICKET;
      if (Atomics.compareExchange(this.#words, WAITING, waiting, waiting + 1) === waiting) break;
    }
    Atomics.add(this.#words, this.#cell(this.#isolate, QUEUED), 1);
    const ticket = this.#nextTicket();
    return ticket === NO_TICKET ? this.#nextTicket() : ticket; // happens once in 2^32
  }

  leave(): void {
    Atomics.sub(this.#words, this.#cell(this.#isolate, QUEUED), 1);
    Atomics.sub(this.#words, WAITING, 1);
  }

  /** How many requests wait, of all isolates. */
  queued(): number {
    return this.#sum(QUEUED);
  }

  /**
   * Counts a request that waits for a backend to come back. While there is such a request, checks are made more often.
   */
  startHold(): void {
    Atomics.add(this.#words, this.#cell(this.#isolate, HOLDING), 1);
  }

  endHold(): void {
    Atomics.sub(this.#words, this.#cell(this.#isolate, HOLDING), 1);
  }

  /** How many requests wait for a backend to come back, of all isolates. */
  holding(): number {
    return this.#sum(HOLDING);
  }

  /**
   * Shows this isolate's oldest ticket that waits for the backend in `slot`, or for `ANY`; `NO_TICKET`: there is none.
   */
  show(slot: number, ticket: number): void {
    if (slot === ANY) Atomics.store(this.#words, this.#cell(this.#isolate, FOR_ANY), ticket);
    else this.#tickets.set(slot, ticket);
  }

  /** Shows that this isolate is at work. The queue calls it each time it looks at its requests. */
  beSeen(nowMs = Date.now()): void {
    Atomics.store(this.#words, this.#cell(this.#isolate, SEEN_AT), nowMs | 0);
  }

  /**
   * Whether a request may take a place: there is room for all that wait, or no older request could use it. If a waiting
   * request has to let one of another isolate go first, that isolate's bell is rung.
   */
  lets({ slot, ticket, room, open }: Claim, nowMs = Date.now()): boolean {
    const others = Atomics.load(this.#words, WAITING) - (ticket === NO_TICKET ? 0 : 1);
    if (room > others) return true;
    const first = this.#first(slot, open, nowMs);
    if (first === undefined || (ticket !== NO_TICKET && !isOlder(first.ticket, ticket))) return true;
    if (ticket !== NO_TICKET) this.#ring(first.isolate);
    return false;
  }

  /**
   * Tells the line that a place at a backend has become free. Rings the isolates with the oldest requests that could
   * use it: the oldest that waits for any backend, and the oldest that waits for this one. Returns whether one of them
   * is in this isolate, which does not ring itself.
   */
  tell(slot: number, nowMs = Date.now()): boolean {
    const any = this.#first(ANY, true, nowMs);
    const bound = this.#first(slot, false, nowMs);
    if (any !== undefined) this.#ring(any.isolate);
    if (bound !== undefined && bound.isolate !== any?.isolate) this.#ring(bound.isolate);
    return any?.isolate === this.#isolate || bound?.isolate === this.#isolate;
  }

  /** Settles when another isolate rings; `undefined`: there is no other isolate. */
  rung(): Promise<unknown> | undefined {
    if (this.#isolates === 1) return undefined;
    const bell = this.#cell(this.#isolate, BELL);
    const heard = Atomics.waitAsync(this.#words, bell, Atomics.load(this.#words, bell));
    return heard.async ? heard.value : Promise.resolve();
  }

  /**
   * Removes an ended isolate from the line, but not its `BoundTickets`. No other isolate may have its number while this
   * runs.
   */
  reclaim(isolate: number): void {
    Atomics.store(this.#words, this.#cell(isolate, FOR_ANY), NO_TICKET);
    Atomics.store(this.#words, this.#cell(isolate, HOLDING), 0);
    Atomics.sub(this.#words, WAITING, Atomics.exchange(this.#words, this.#cell(isolate, QUEUED), 0));
  }

  /** The oldest ticket that waits for this backend, or, if `open`, for any backend. */
  #first(slot: number, open: boolean, nowMs: number): First | undefined {
    let first: First | undefined;
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      let ticket = open ? Atomics.load(this.#words, this.#cell(isolate, FOR_ANY)) : NO_TICKET;
      const bound = slot === ANY ? NO_TICKET : this.#tickets.get(isolate, slot);
      if (ticket === NO_TICKET || (bound !== NO_TICKET && isOlder(bound, ticket))) ticket = bound;
      if (ticket === NO_TICKET || (first !== undefined && isOlder(first.ticket, ticket))) continue;
      if (isolate === this.#isolate || this.#isAtWork(isolate, nowMs)) first = { ticket, isolate };
    }
    return first;
  }

  #isAtWork(isolate: number, nowMs: number): boolean {
    return (nowMs - Atomics.load(this.#words, this.#cell(isolate, SEEN_AT)) | 0) <= ABSENT_MS;
  }

  #ring(isolate: number): void {
    if (isolate === this.#isolate) return;
    const bell = this.#cell(isolate, BELL);
    Atomics.add(this.#words, bell, 1);
    Atomics.notify(this.#words, bell);
  }

  #nextTicket(): number {
    return Atomics.add(this.#words, LAST_TICKET, 1) + 1 | 0;
  }

  #sum(cell: number): number {
    let sum = 0;
    for (let isolate = 0; isolate < this.#isolates; isolate++) {
      sum += Atomics.load(this.#words, this.#cell(isolate, cell));
    }
    return sum;
  }

  #cell(isolate: number, cell: number): number {
    return (1 + isolate) * LINE_WORDS + cell;
  }
}

/**
 * Whether a ticket is older. Tickets wrap at 2^32. Those that wait at the same time are always much closer together.
 */
function isOlder(ticket: number, than: number): boolean {
  return (ticket - than | 0) < 0;
}

/**
 * Who waits for a backend of a pool, of all isolates.
 *
 * Whoever joins draws a ticket: the lower one is the older. Each isolate shows the ticket of the oldest that it has
 * waiting for whoever is eligible, and of the oldest for each backend that some wait for alone. So all isolates see whose
 * turn it is, whatever the length of the line, and an isolate writes to cells of its own only. One that has not been seen
 * at work for a while is busy with something else, or dead: its tickets hold up nobody then.
 */

import { type Arena, LINE_WORDS, linesFor } from "./arena.ts";
import { SLOTS } from "./slots.ts";

// Line of the pool, 32-bit cells.
const WAITING = 0; // of all isolates, as the limit counts them
const LAST_TICKET = 1;

// Line of an isolate, 32-bit cells.
const QUEUED = 0;
const HOLDING = 1;
const BELL = 2; // how often others have rung
const SEEN_AT = 3; // the low bits of the milliseconds since the Unix epoch
const FOR_ANY = 4;

/** No ticket: of a request that does not wait, or where nobody waits. */
export const NO_TICKET = 0;

/** Instead of a slot: whatever backend is eligible. */
export const ANY = -1;

/** For so long an isolate may not be seen before its tickets count for nothing: ten looks of the queue. */
const ABSENT_MS = 50;

/** The first in the line, and the isolate where it waits. */
interface First {
  readonly ticket: number;
  readonly isolate: number;
}

/** What a request asks for that might take a place at once. */
export interface Claim {
  readonly slot: number;
  /** `NO_TICKET`: it does not wait yet. */
  readonly ticket: number;
  /** How many connections more the backend may have. */
  readonly room: number;
  /** Whether those who wait for any backend could have this one. */
  readonly open: boolean;
}

/** The oldest tickets that wait for single backends, of all pools: a cell an isolate and slot, since a slot has one pool. */
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

  /** For this isolate. */
  set(slot: number, ticket: number): void {
    Atomics.store(this.#words, this.#isolate * SLOTS + slot, ticket);
  }

  /** Forgets those of an isolate that has ended. */
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

  /** Whether nobody waits: then no request has to ask anything else here. */
  get empty(): boolean {
    return Atomics.load(this.#words, WAITING) === 0;
  }

  /** Counts a request that waits and returns its ticket; `NO_TICKET` where `most` wait already, of all isolates. */
  join(most: number): number {
    while (true) {
      const waiting = Atomics.load(this.#words, WAITING);
      if (waiting >= most) return NO_TICKET;
      if (Atomics.compareExchange(this.#words, WAITING, waiting, waiting + 1) === waiting) break;
    }
    Atomics.add(this.#words, this.#cell(this.#isolate, QUEUED), 1);
    const ticket = this.#nextTicket();
    return ticket === NO_TICKET ? this.#nextTicket() : ticket; // once in 2^32
  }

  leave(): void {
    Atomics.sub(this.#words, this.#cell(this.#isolate, QUEUED), 1);
    Atomics.sub(this.#words, WAITING, 1);
  }

  /** Requests that wait, of all isolates. */
  queued(): number {
    return this.#sum(QUEUED);
  }

  /** Counts a request that waits for a backend to come back: while there is one, checks come quickly. */
  startHold(): void {
    Atomics.add(this.#words, this.#cell(this.#isolate, HOLDING), 1);
  }

  endHold(): void {
    Atomics.sub(this.#words, this.#cell(this.#isolate, HOLDING), 1);
  }

  /** Requests that wait for a backend to come back, of all isolates. */
  holding(): number {
    return this.#sum(HOLDING);
  }

  /** Shows the oldest ticket of this isolate that waits for a backend, or for `ANY`; `NO_TICKET`: none does. */
  show(slot: number, ticket: number): void {
    if (slot === ANY) Atomics.store(this.#words, this.#cell(this.#isolate, FOR_ANY), ticket);
    else this.#tickets.set(slot, ticket);
  }

  /** This isolate is at work. To be said at every look at those who wait here. */
  beSeen(nowMs = Date.now()): void {
    Atomics.store(this.#words, this.#cell(this.#isolate, SEEN_AT), nowMs | 0);
  }

  /**
   * Whether a request may take a place: there is room for all who wait, or none of them is older and could use it. One
   * that waits itself and has to let another isolate's go first tells it so.
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
   * A place at a backend has come free: rings where the oldest waits that could use it, for any backend or for this one.
   * Returns whether one of them waits in this isolate, which does not ring itself.
   */
  tell(slot: number, nowMs = Date.now()): boolean {
    const any = this.#first(ANY, true, nowMs);
    const bound = this.#first(slot, false, nowMs);
    if (any !== undefined) this.#ring(any.isolate);
    if (bound !== undefined && bound.isolate !== any?.isolate) this.#ring(bound.isolate);
    return any?.isolate === this.#isolate || bound?.isolate === this.#isolate;
  }

  /** Settles when another isolate rings; `undefined`: there is no other. */
  rung(): Promise<unknown> | undefined {
    if (this.#isolates === 1) return undefined;
    const bell = this.#cell(this.#isolate, BELL);
    const heard = Atomics.waitAsync(this.#words, bell, Atomics.load(this.#words, bell));
    return heard.async ? heard.value : Promise.resolve();
  }

  /**
   * Takes an isolate that has ended out of the line, but for its `BoundTickets`. No other may have its number meanwhile.
   */
  reclaim(isolate: number): void {
    Atomics.store(this.#words, this.#cell(isolate, FOR_ANY), NO_TICKET);
    Atomics.store(this.#words, this.#cell(isolate, HOLDING), 0);
    Atomics.sub(this.#words, WAITING, Atomics.exchange(this.#words, this.#cell(isolate, QUEUED), 0));
  }

  /** The oldest that waits for this backend alone, or for any if `open`. */
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

/** Tickets wrap at 2^32; those that wait at a time are never so far apart. */
function isOlder(ticket: number, than: number): boolean {
  return (ticket - than | 0) < 0;
}

/**
 * What changes per request, in one `SharedArrayBuffer`: the file with its offsets and `Atomics`.
 *
 * Three kinds of cell, told apart by who writes them:
 * - *shared* cells (health, operator state, weight, epoch, turn): any isolate, with `Atomics`;
 * - *striped* counts (current connections, active requests): each isolate its own cache line, with `Atomics`, since the
 *   control plane zeroes the stripe of an isolate that died;
 * - *striped* totals: each isolate its own 64-bit float, exact to 2^53; readers may see them a moment late. Aligned
 *   8-byte stores do not tear on the processors Deno runs on.
 */

import { MAX_BACKENDS } from "../config/backend_limit.ts";
import { RetryBudget, RING_BYTES } from "./retry_budget.ts";
import { WaitingLine } from "./waiting_line.ts";

/** Operator state as stored; the names are those of the admin API. */
export const BACKEND_STATES = ["active", "draining", "disabled"] as const;
export type BackendState = (typeof BACKEND_STATES)[number];

/**
 * Places for backends. Twice as many as there may be backends: a removed one keeps its place until its last request has
 * ended and every isolate has heard of it, and yet a reload can exchange all of them in one step.
 */
export const SLOTS = 2 * MAX_BACKENDS;

/** Slow start raises a backend's weight in this many steps. */
export const FULL_RAMP = 10;

const LINE = 64; // bytes of a cache line: two isolates never write to the same one
const I32 = 4;
const F64 = 8;

// Global line.
const EPOCH = 0;
const TURN = 1;
const FAILING_OPEN = 2; // 1: all backends serve, whatever their health

// Line of an isolate: 32-bit cells first, then 64-bit floats.
const ACTIVE = 0;
const REQUESTS_TOTAL = 1;
const REQUESTS_FAILED = 2;
const REQUESTS_RETRIED = 3;

// Lines of a backend, written by any isolate. The first is read at every pick and changes seldom …
const BACKEND_BYTES = 2 * LINE;
const DOWN = 0; // zeroed memory means up
const EJECTED = 1;
const STATE = 2;
const WEIGHT = 3;
const RAMP = 4;
const BACKUP = 5;
const MAX_CONNECTIONS = 6; // 0: none
const GENERATION = 7;
const RECHECK_AT = 4; // float; milliseconds since the Unix epoch: the next health check; 0: none is planned
const EJECTED_UNTIL = 5; // float; the same for the end of an ejection
const DOWN_SINCE = 6; // float; the same for when it was last marked down
const UP_SINCE = 7; // float; the same for when it came back
// … the second changes with every request.
const TAKEN = LINE / I32; // connections of all isolates, as the limit counts them
const CONNECT_FAILURES = LINE / I32 + 1;
const LATENCY = LINE / F64 + 1; // float; milliseconds; 0: no answer yet
const LATENCY_AT = LINE / F64 + 2; // float; milliseconds since the Unix epoch
const REFUSED_AT = LINE / F64 + 3; // float; the same for the first of the failed connections in a row

/** A backend that was up for so long was back, whether it answered anything or not. */
const BACK_MS = 1000;

// Line of a backend and isolate.
const CURRENT_CONNECTIONS = 0;
const BACKEND_REQUESTS = 1;
const BACKEND_FAILURES = 2;

/** Totals of the whole process. */
export interface RequestTotals {
  readonly total: number;
  readonly active: number;
  readonly failed: number;
  readonly retried: number;
  /** Waiting for a backend to have room; part of `active`. */
  readonly queued: number;
}

/** What an isolate that ended held. */
export interface Reclaimed {
  /** That it was serving; their clients saw the connection break. */
  readonly requests: number;
  /** To backends. */
  readonly connections: number;
}

/** One isolate's view of the shared memory. */
export class SharedState {
  /** What another isolate needs to `attach`. */
  readonly buffer: SharedArrayBuffer;
  readonly isolates: number;
  readonly isolate: number;
  /** Told of every request and retry that is counted here. */
  readonly retryBudget: RetryBudget;
  /** Who waits for a backend. */
  readonly line: WaitingLine;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #isolateLines: number;
  readonly #backendLines: number;
  readonly #stripeLines: number;

  /** Allocates the memory for `isolates` isolates; the caller is isolate 0. */
  static allocate(isolates = 1): SharedState {
    const lines = 1 + isolates + SLOTS * isolates;
    const bytes = lines * LINE + SLOTS * BACKEND_BYTES + isolates * RING_BYTES + WaitingLine.bytes(isolates, SLOTS);
    return new SharedState(new SharedArrayBuffer(bytes), isolates, 0);
  }

  /** Joins memory allocated elsewhere as isolate number `isolate` (0 to `isolates` - 1). */
  static attach(buffer: SharedArrayBuffer, isolates: number, isolate: number): SharedState {
    return new SharedState(buffer, isolates, isolate);
  }

  private constructor(buffer: SharedArrayBuffer, isolates: number, isolate: number) {
    this.buffer = buffer;
    this.isolates = isolates;
    this.isolate = isolate;
    this.#words = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer);
    this.#isolateLines = LINE;
    this.#backendLines = this.#isolateLines + isolates * LINE;
    this.#stripeLines = this.#backendLines + SLOTS * BACKEND_BYTES;
    const rings = this.#stripeLines + SLOTS * isolates * LINE;
    this.retryBudget = new RetryBudget(buffer, rings, isolates, isolate);
    this.line = new WaitingLine(buffer, rings + isolates * RING_BYTES, SLOTS, isolates, isolate);
  }

  /** Changes whenever a backend's health, state or weight may have changed; not with the list of them. */
  get epoch(): number {
    return Atomics.load(this.#words, EPOCH);
  }

  /** Tells every isolate to look at the pool again. Call it after the change, never before. */
  bumpEpoch(): void {
    Atomics.add(this.#words, EPOCH, 1);
  }

  /** Whether all backends serve, whatever their health, since all of them are down (`health.failOpen`). */
  get failingOpen(): boolean {
    return Atomics.load(this.#words, FAILING_OPEN) === 1;
  }

  /** Returns whether this call changed it. */
  setFailingOpen(failingOpen: boolean): boolean {
    const value = failingOpen ? 1 : 0;
    return Atomics.exchange(this.#words, FAILING_OPEN, value) !== value;
  }

  /** Takes the next turn: 0, 1, 2 … in the order of the calls of all isolates; wraps at 2^32. */
  takeTurn(): number {
    return Atomics.add(this.#words, TURN, 1) >>> 0;
  }

  /** The turn that will be taken next. */
  get turn(): number {
    return Atomics.load(this.#words, TURN) >>> 0;
  }

  /** Makes a slot ready for a new backend: up, active, nothing counted. The slot must be out of use. */
  resetSlot(slot: number): void {
    const generation = this.generation(slot) + 1;
    const from = this.#backendWord(slot, 0);
    this.#words.fill(0, from, from + BACKEND_BYTES / I32);
    Atomics.store(this.#words, this.#backendWord(slot, GENERATION), generation);
    for (let isolate = 0; isolate < this.isolates; isolate++) {
      const stripe = this.#stripe(slot, isolate) / I32;
      this.#words.fill(0, stripe, stripe + LINE / I32);
    }
    Atomics.store(this.#words, this.#backendWord(slot, RAMP), FULL_RAMP);
  }

  /** Which backend of those that had this slot in turn has it now: tells a reused slot from the one that was meant. */
  generation(slot: number): number {
    return this.#loadBackend(slot, GENERATION);
  }

  isUp(slot: number): boolean {
    return this.#loadBackend(slot, DOWN) === 0;
  }

  /** Returns whether this call changed it, so that one of several racing isolates reports the change. */
  setUp(slot: number, up: boolean, nowMs = Date.now()): boolean {
    if (!this.isEjected(slot)) this.#noteTurn(slot, this.isUp(slot), up, nowMs);
    return this.#exchangeBackend(slot, DOWN, up ? 0 : 1);
  }

  isEjected(slot: number): boolean {
    return this.#loadBackend(slot, EJECTED) === 1;
  }

  setEjected(slot: number, ejected: boolean, nowMs = Date.now()): boolean {
    if (this.isUp(slot)) this.#noteTurn(slot, !this.isEjected(slot), !ejected, nowMs);
    return this.#exchangeBackend(slot, EJECTED, ejected ? 1 : 0);
  }

  state(slot: number): BackendState {
    // The cell only ever holds an index that `setState` took from the list.
    return BACKEND_STATES[this.#loadBackend(slot, STATE)] as BackendState;
  }

  setState(slot: number, state: BackendState): boolean {
    return this.#exchangeBackend(slot, STATE, BACKEND_STATES.indexOf(state));
  }

  weight(slot: number): number {
    return this.#loadBackend(slot, WEIGHT);
  }

  setWeight(slot: number, weight: number): boolean {
    return this.#exchangeBackend(slot, WEIGHT, weight);
  }

  /** How far slow start has come: 1 to `FULL_RAMP`. */
  ramp(slot: number): number {
    return this.#loadBackend(slot, RAMP);
  }

  setRamp(slot: number, ramp: number): boolean {
    return this.#exchangeBackend(slot, RAMP, ramp);
  }

  isBackup(slot: number): boolean {
    return this.#loadBackend(slot, BACKUP) === 1;
  }

  setBackup(slot: number, backup: boolean): boolean {
    return this.#exchangeBackend(slot, BACKUP, backup ? 1 : 0);
  }

  /** `null`: no limit. */
  maxConnections(slot: number): number | null {
    return this.#loadBackend(slot, MAX_CONNECTIONS) || null;
  }

  setMaxConnections(slot: number, limit: number | null): boolean {
    return this.#exchangeBackend(slot, MAX_CONNECTIONS, limit ?? 0);
  }

  /** Counts a failed connection; returns how many there have been in a row. */
  countConnectFailure(slot: number, nowMs = Date.now()): number {
    const cell = this.#backendWord(slot, CONNECT_FAILURES);
    if (Atomics.load(this.#words, cell) === 0) this.#floats[this.#backendFloat(slot, REFUSED_AT)] = nowMs;
    return Atomics.add(this.#words, cell, 1) + 1;
  }

  /** When the first of the failed connections in a row was, in milliseconds since the Unix epoch; 0: there is none. */
  refusingSince(slot: number): number {
    if (this.#loadBackend(slot, CONNECT_FAILURES) === 0) return 0;
    return this.#floats[this.#backendFloat(slot, REFUSED_AT)] ?? 0;
  }

  /** Ends the row. Reads first: the line is shared and a success is the usual case. */
  clearConnectFailures(slot: number): void {
    if (this.#loadBackend(slot, CONNECT_FAILURES) === 0) return;
    Atomics.store(this.#words, this.#backendWord(slot, CONNECT_FAILURES), 0);
  }

  /** When the next health check of a backend is due, in milliseconds since the Unix epoch; 0: none is planned. */
  recheckAt(slot: number): number {
    return this.#floats[this.#backendFloat(slot, RECHECK_AT)] ?? 0;
  }

  setRecheckAt(slot: number, atMs: number): void {
    this.#floats[this.#backendFloat(slot, RECHECK_AT)] = atMs;
  }

  /** When a backend's ejection ends, in milliseconds since the Unix epoch; 0: it is not ejected. */
  ejectedUntil(slot: number): number {
    return this.#floats[this.#backendFloat(slot, EJECTED_UNTIL)] ?? 0;
  }

  setEjectedUntil(slot: number, atMs: number): void {
    this.#floats[this.#backendFloat(slot, EJECTED_UNTIL)] = atMs;
  }

  /** When a backend was last marked down, in milliseconds since the Unix epoch; 0: never. */
  downSince(slot: number): number {
    return this.#floats[this.#backendFloat(slot, DOWN_SINCE)] ?? 0;
  }

  setDownSince(slot: number, atMs: number): void {
    this.#floats[this.#backendFloat(slot, DOWN_SINCE)] = atMs;
  }

  /**
   * A backend that passes its checks, answers nothing and is gone again has not been back: its outage goes on, else
   * requests would wait for it for ever.
   */
  #noteTurn(slot: number, wasAlive: boolean, alive: boolean, nowMs: number): void {
    if (alive === wasAlive) return;
    const upSince = this.#backendFloat(slot, UP_SINCE);
    if (alive) {
      this.#floats[upSince] = nowMs;
      return;
    }
    const cameUpAt = this.#floats[upSince] ?? 0;
    const answeredAt = this.#floats[this.#backendFloat(slot, LATENCY_AT)] ?? 0;
    const wasBack = answeredAt >= cameUpAt || Math.abs(nowMs - cameUpAt) >= BACK_MS;
    if (wasBack) this.setDownSince(slot, nowMs);
  }

  /**
   * Counts a connection, unless the backend has as many as it may; returns whether it did. The limit's own count is
   * raised first and lowered last, so that the sum of the stripes never shows more than the limit.
   */
  openConnection(slot: number): boolean {
    const taken = this.#backendWord(slot, TAKEN);
    const limit = this.#loadBackend(slot, MAX_CONNECTIONS);
    if (limit === 0) Atomics.add(this.#words, taken, 1);
    else if (!this.#takeBelow(taken, limit)) return false;
    Atomics.add(this.#words, this.#stripe(slot, this.isolate) / I32 + CURRENT_CONNECTIONS, 1);
    this.#addToStripe(slot, BACKEND_REQUESTS);
    return true;
  }

  closeConnection(slot: number): void {
    Atomics.sub(this.#words, this.#stripe(slot, this.isolate) / I32 + CURRENT_CONNECTIONS, 1);
    Atomics.sub(this.#words, this.#backendWord(slot, TAKEN), 1);
  }

  /** Whether a connection more would be within the limit. */
  hasRoom(slot: number): boolean {
    return this.#room(slot) > 0;
  }

  /** The same for a request that has this ticket: whether it overtakes nobody in the line who waits for the place. */
  hasRoomFor(slot: number, ticket: number, open: boolean): boolean {
    const room = this.#room(slot);
    if (room === Infinity) return true;
    return room > 0 && (this.line.empty || this.line.lets({ slot, ticket, room, open }));
  }

  /** Whether not one connection is counted or about to be: its count is the first to rise and the last to fall. */
  isIdle(slot: number): boolean {
    return this.#loadBackend(slot, TAKEN) === 0;
  }

  /** Of all isolates. */
  currentConnections(slot: number): number {
    let sum = 0;
    for (let isolate = 0; isolate < this.isolates; isolate++) {
      sum += Atomics.load(this.#words, this.#stripe(slot, isolate) / I32 + CURRENT_CONNECTIONS);
    }
    return sum;
  }

  countBackendFailure(slot: number): void {
    this.#addToStripe(slot, BACKEND_FAILURES);
  }

  backendRequests(slot: number): number {
    return this.#sumStripes(slot, BACKEND_REQUESTS);
  }

  backendFailures(slot: number): number {
    return this.#sumStripes(slot, BACKEND_FAILURES);
  }

  /** Peak EWMA of the time to the response head in milliseconds; `null` before the first answer. */
  latencyMs(slot: number): number | null {
    return this.#floats[this.#backendFloat(slot, LATENCY)] || null;
  }

  /**
   * Folds one response time into the average: a slower answer counts at once, faster ones by how long ago the last
   * was (peak EWMA, as in Finagle). An update lost to a race with another isolate is one sample less, no more.
   */
  recordLatency(slot: number, sampleMs: number, nowMs: number, decayMs: number): void {
    const cell = this.#backendFloat(slot, LATENCY);
    const atCell = this.#backendFloat(slot, LATENCY_AT);
    const average = this.#floats[cell] ?? 0;
    const elapsed = Math.max(nowMs - (this.#floats[atCell] ?? 0), 0);
    this.#floats[atCell] = nowMs;
    if (average === 0 || sampleMs > average) {
      this.#floats[cell] = sampleMs;
      return;
    }
    const keep = Math.exp(-elapsed / decayMs);
    this.#floats[cell] = average * keep + sampleMs * (1 - keep);
  }

  requestStarted(nowMs = Date.now()): void {
    Atomics.add(this.#words, this.#isolateLine(this.isolate) / I32 + ACTIVE, 1);
    this.#addToIsolate(REQUESTS_TOTAL);
    this.retryBudget.countRequest(nowMs);
  }

  requestEnded(): void {
    Atomics.sub(this.#words, this.#isolateLine(this.isolate) / I32 + ACTIVE, 1);
  }

  countFailedRequest(): void {
    this.#addToIsolate(REQUESTS_FAILED);
  }

  /** Counts a retry, in the totals and against the budget, unless that does not allow it; returns whether it did. */
  countRetry(share: number, nowMs = Date.now()): boolean {
    if (!this.retryBudget.take(share, nowMs)) return false;
    this.#addToIsolate(REQUESTS_RETRIED);
    return true;
  }

  /** Counts a retry that a restart of all backends has cost: the budget has no part in it. */
  countHeldRetry(): void {
    this.#addToIsolate(REQUESTS_RETRIED);
  }

  /**
   * Gives back what an isolate that has ended held: its connections, its places in the queue and the requests that it
   * was serving, which count as failed. Its totals stay. No other isolate may have its number meanwhile.
   */
  reclaim(isolate: number): Reclaimed {
    const line = this.#isolateLine(isolate);
    const requests = Atomics.exchange(this.#words, line / I32 + ACTIVE, 0);
    this.#floats[line / F64 + REQUESTS_FAILED] = (this.#floats[line / F64 + REQUESTS_FAILED] ?? 0) + requests;
    this.line.reclaim(isolate);
    let connections = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const held = Atomics.exchange(this.#words, this.#stripe(slot, isolate) / I32 + CURRENT_CONNECTIONS, 0);
      if (held !== 0) Atomics.sub(this.#words, this.#backendWord(slot, TAKEN), held);
      connections += held;
    }
    return { requests, connections };
  }

  /** Of all isolates. */
  requestTotals(): RequestTotals {
    const totals = { total: 0, active: 0, failed: 0, retried: 0, queued: this.line.queued() };
    for (let isolate = 0; isolate < this.isolates; isolate++) {
      const line = this.#isolateLine(isolate);
      totals.active += Atomics.load(this.#words, line / I32 + ACTIVE);
      totals.total += this.#floats[line / F64 + REQUESTS_TOTAL] ?? 0;
      totals.failed += this.#floats[line / F64 + REQUESTS_FAILED] ?? 0;
      totals.retried += this.#floats[line / F64 + REQUESTS_RETRIED] ?? 0;
    }
    return totals;
  }

  #isolateLine(isolate: number): number {
    return this.#isolateLines + isolate * LINE;
  }

  #backendWord(slot: number, cell: number): number {
    return (this.#backendLines + slot * BACKEND_BYTES) / I32 + cell;
  }

  #backendFloat(slot: number, cell: number): number {
    return (this.#backendLines + slot * BACKEND_BYTES) / F64 + cell;
  }

  #stripe(slot: number, isolate: number): number {
    return this.#stripeLines + (slot * this.isolates + isolate) * LINE;
  }

  #loadBackend(slot: number, cell: number): number {
    return Atomics.load(this.#words, this.#backendWord(slot, cell));
  }

  #room(slot: number): number {
    const limit = this.#loadBackend(slot, MAX_CONNECTIONS);
    return limit === 0 ? Infinity : limit - this.#loadBackend(slot, TAKEN);
  }

  #exchangeBackend(slot: number, cell: number, value: number): boolean {
    return Atomics.exchange(this.#words, this.#backendWord(slot, cell), value) !== value;
  }

  #takeBelow(cell: number, limit: number): boolean {
    while (true) {
      const taken = Atomics.load(this.#words, cell);
      if (taken >= limit) return false;
      if (Atomics.compareExchange(this.#words, cell, taken, taken + 1) === taken) return true;
    }
  }

  #addToIsolate(cell: number): void {
    const index = this.#isolateLine(this.isolate) / F64 + cell;
    this.#floats[index] = (this.#floats[index] ?? 0) + 1;
  }

  #addToStripe(slot: number, cell: number): void {
    const index = this.#stripe(slot, this.isolate) / F64 + cell;
    this.#floats[index] = (this.#floats[index] ?? 0) + 1;
  }

  #sumStripes(slot: number, cell: number): number {
    let sum = 0;
    for (let isolate = 0; isolate < this.isolates; isolate++) {
      sum += this.#floats[this.#stripe(slot, isolate) / F64 + cell] ?? 0;
    }
    return sum;
  }
}

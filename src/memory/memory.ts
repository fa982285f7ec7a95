/**
 * All memory that the isolates of a process share: one `SharedArrayBuffer` with a region for each topic.
 *
 * All pools share the tables of backends. These have one record for each slot, and a slot belongs to one pool at a
 * time. The regions of a pool itself are small, so many pools with few backends need little memory.
 */

import { AnswerCells } from "./answer_cells.ts";
import { Arena, type Shared } from "./arena.ts";
import { ConnectionCells } from "./connection_cells.ts";
import { HealthCells } from "./health_cells.ts";
import { Limits } from "./limits.ts";
import { PoolAllotment } from "./pool_allotment.ts";
import { PoolCells } from "./pool_cells.ts";
import { PoolCounts } from "./pool_counts.ts";
import { RecentTimes } from "./recent_times.ts";
import { RequestMetrics } from "./request_metrics.ts";
import { type RequestSums, RequestTotals } from "./request_totals.ts";
import { RetryBudget } from "./retry_budget.ts";
import { RouteCounts } from "./route_counts.ts";
import { SettingCells } from "./setting_cells.ts";
import { SlotAllotment } from "./slot_allotment.ts";
import { POOLS, SLOTS } from "./slots.ts";
import { BoundTickets, WaitingLine } from "./waiting_line.ts";

/** The requests of the whole process. */
export interface ProcessTotals extends RequestSums {
  /** Requests that wait for a backend; part of `active`. */
  readonly queued: number;
}

/** What an ended isolate held. */
export interface Reclaimed {
  /** Requests that it was serving. Their clients saw the connection break. */
  readonly requests: number;
  /** Connections to backends. */
  readonly connections: number;
}

/** One isolate's view of the shared memory. */
export class Memory {
  readonly answers: AnswerCells;
  /** The time until the head of each backend's answers. The entries are slots. */
  readonly latencies: RecentTimes;
  readonly health: HealthCells;
  readonly settings: SettingCells;
  readonly connections: ConnectionCells;
  readonly requests: RequestTotals;
  readonly metrics: RequestMetrics;
  readonly routes: RouteCounts;
  /** What guards count. */
  readonly limits: Limits;
  /** The requests that went to no pool. */
  readonly elsewhere: PoolCounts;
  /** Used by the control plane only. */
  readonly slots: SlotAllotment;
  readonly isolates: number;
  /** The number of this isolate. */
  readonly isolate: number;
  readonly #buffer: SharedArrayBuffer;
  readonly #tickets: BoundTickets;
  readonly #allotment = new PoolAllotment();
  readonly #arenaOfPool: (pool: number) => Arena;
  /** The pools that this isolate has asked for, by number. In the control plane, these are all that there are. */
  readonly #pools = new Map<number, PoolMemory>();

  /** Allocates the memory for `isolates` isolates; the caller is isolate 0. */
  static allocate(isolates = 1): Memory {
    return new Memory(Arena.allocate(isolates, Memory.#lines(isolates)));
  }

  /** Joins memory allocated elsewhere. */
  static attach(shared: Shared): Memory {
    return new Memory(new Arena(shared));
  }

  static #lines(isolates: number): number {
    return AnswerCells.lines + RecentTimes.lines(SLOTS) + HealthCells.lines + SettingCells.lines +
      ConnectionCells.lines(isolates) + RequestTotals.lines(isolates) + RequestMetrics.lines(isolates) +
      RouteCounts.lines(isolates) + Limits.lines + PoolCounts.lines(isolates) + BoundTickets.lines(isolates) +
      POOLS * PoolMemory.lines(isolates);
  }

  private constructor(arena: Arena) {
    this.#buffer = arena.buffer;
    this.isolates = arena.isolates;
    this.isolate = arena.isolate;
    this.answers = new AnswerCells(arena);
    this.latencies = new RecentTimes(arena, SLOTS);
    this.health = new HealthCells(arena, this.answers);
    this.settings = new SettingCells(arena);
    this.connections = new ConnectionCells(arena, this.settings);
    this.slots = new SlotAllotment(this.connections);
    this.requests = new RequestTotals(arena);
    this.metrics = new RequestMetrics(arena);
    this.routes = new RouteCounts(arena);
    this.limits = new Limits(arena);
    this.elsewhere = new PoolCounts(arena);
    this.#tickets = new BoundTickets(arena);
    this.#arenaOfPool = arena.takeArenas(POOLS, PoolMemory.lines(arena.isolates));
  }

  /** What the isolate with this number needs to `attach`. */
  sharedWith(isolate: number): Shared {
    return { buffer: this.#buffer, isolates: this.isolates, isolate };
  }

  /** The memory of the pool with this number: 0 to `POOLS` - 1. */
  pool(number: number): PoolMemory {
    let pool = this.#pools.get(number);
    if (pool === undefined) {
      pool = new PoolMemory(number, this.#arenaOfPool(number), this, this.#tickets);
      this.#pools.set(number, pool);
    }
    return pool;
  }

  /** How many pools `takePool` can give. Control plane only. */
  get poolRoom(): number {
    return this.#allotment.room;
  }

  /** Gives unused memory to a new pool. Fails if there is none. Control plane only. */
  takePool(): PoolMemory {
    const pool = this.pool(this.#allotment.take());
    pool.reset();
    return pool;
  }

  /**
   * Gives the memory of an ended pool back, when all isolates know that it has ended. Control plane only.
   *
   * @param isUnused whether its last request has ended. Until then, no other pool gets the memory
   */
  givePoolBack({ number }: PoolMemory, isUnused: () => boolean): void {
    this.#pools.delete(number);
    this.#allotment.giveBack(number, isUnused);
  }

  /** Prepares a slot for a new backend: up, active, all counts 0. The slot must be unused. */
  resetSlot(slot: number): void {
    this.answers.reset(slot);
    this.latencies.reset(slot);
    this.health.reset(slot);
    this.settings.reset(slot);
    this.connections.reset(slot);
  }

  /** The totals of all isolates and pools. Control plane only. */
  requestTotals(): ProcessTotals {
    let queued = 0;
    for (const { line } of this.#pools.values()) queued += line.queued();
    return { ...this.requests.sums(), queued };
  }

  /**
   * Gives back what an ended isolate held: its connections, its places in the queues and in the limits, and its active
   * requests, which count as failed. Its totals stay. No other isolate may have its number while this runs. Control plane only.
   */
  reclaim(isolate: number): Reclaimed {
    const requests = this.requests.reclaim(isolate);
    this.#tickets.reclaim(isolate);
    for (const { line } of this.#pools.values()) line.reclaim(isolate);
    this.limits.reclaim(isolate);
    return { requests, connections: this.connections.reclaim(isolate) };
  }
}

/** One isolate's view of the memory of one pool. */
export class PoolMemory {
  /** The pool's, in every isolate. */
  readonly number: number;
  /** The memory of the process. Its tables hold the pool's backends. */
  readonly memory: Memory;
  readonly cells: PoolCells;
  readonly counts: PoolCounts;
  readonly retryBudget: RetryBudget;
  /** The requests that wait for a backend of the pool. */
  readonly line: WaitingLine;

  static lines(isolates: number): number {
    return PoolCells.lines + PoolCounts.lines(isolates) + RetryBudget.lines(isolates) + WaitingLine.lines(isolates);
  }

  constructor(number: number, arena: Arena, memory: Memory, tickets: BoundTickets) {
    this.number = number;
    this.memory = memory;
    this.cells = new PoolCells(arena);
    this.counts = new PoolCounts(arena);
    this.retryBudget = new RetryBudget(arena);
    this.line = new WaitingLine(arena, tickets);
  }

  /** Prepares unused memory for a new pool. */
  reset(): void {
    this.cells.reset();
    this.counts.reset();
    this.retryBudget.reset();
    this.line.reset();
  }
}

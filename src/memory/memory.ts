/**
 * What the isolates of a process share, put together: one `SharedArrayBuffer` with a region for each concern.
 *
 * The tables of backends are the process's, one record a slot; a slot belongs to one pool at a time. What is a pool's own
 * is small, so that many pools of few backends cost little.
 */

import { AnswerCells } from "./answer_cells.ts";
import { Arena, type Shared } from "./arena.ts";
import { ConnectionCells } from "./connection_cells.ts";
import { HealthCells } from "./health_cells.ts";
import { PoolCells } from "./pool_cells.ts";
import { RequestMetrics } from "./request_metrics.ts";
import { type RequestSums, RequestTotals } from "./request_totals.ts";
import { RetryBudget } from "./retry_budget.ts";
import { SettingCells } from "./setting_cells.ts";
import { SlotAllotment } from "./slot_allotment.ts";
import { POOLS } from "./slots.ts";
import { BoundTickets, WaitingLine } from "./waiting_line.ts";

/** The requests of the whole process. */
export interface ProcessTotals extends RequestSums {
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

/** One isolate's view of all that isolates share. */
export class Memory {
  readonly answers: AnswerCells;
  readonly health: HealthCells;
  readonly settings: SettingCells;
  readonly connections: ConnectionCells;
  readonly requests: RequestTotals;
  readonly metrics: RequestMetrics;
  /** Control plane only. */
  readonly slots: SlotAllotment;
  readonly isolates: number;
  /** Which of them this is. */
  readonly isolate: number;
  readonly #buffer: SharedArrayBuffer;
  readonly #tickets: BoundTickets;
  readonly #arenaOfPool: (pool: number) => Arena;
  /** Those that were asked for here, by number. */
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
    return AnswerCells.lines + HealthCells.lines + SettingCells.lines + ConnectionCells.lines(isolates) +
      RequestTotals.lines(isolates) + RequestMetrics.lines(isolates) + BoundTickets.lines(isolates) +
      POOLS * PoolMemory.lines(isolates);
  }

  private constructor(arena: Arena) {
    this.#buffer = arena.buffer;
    this.isolates = arena.isolates;
    this.isolate = arena.isolate;
    this.answers = new AnswerCells(arena);
    this.health = new HealthCells(arena, this.answers);
    this.settings = new SettingCells(arena);
    this.connections = new ConnectionCells(arena, this.settings);
    this.slots = new SlotAllotment(this.connections);
    this.requests = new RequestTotals(arena);
    this.metrics = new RequestMetrics(arena);
    this.#tickets = new BoundTickets(arena);
    this.#arenaOfPool = arena.takeArenas(POOLS, PoolMemory.lines(arena.isolates));
  }

  /** What another isolate, of this number, needs to `attach`. */
  sharedWith(isolate: number): Shared {
    return { buffer: this.#buffer, isolates: this.isolates, isolate };
  }

  /** What is the own of the pool with this number: 0 to `POOLS` - 1. */
  pool(number: number): PoolMemory {
    let pool = this.#pools.get(number);
    if (pool === undefined) {
      pool = new PoolMemory(number, this.#arenaOfPool(number), this, this.#tickets);
      this.#pools.set(number, pool);
    }
    return pool;
  }

  /** Makes a slot ready for a new backend: up, active, nothing counted. The slot must be out of use. */
  resetSlot(slot: number): void {
    this.answers.reset(slot);
    this.health.reset(slot);
    this.settings.reset(slot);
    this.connections.reset(slot);
  }

  /** Of all isolates and of the pools that were asked for here. */
  requestTotals(): ProcessTotals {
    let queued = 0;
    for (const { line } of this.#pools.values()) queued += line.queued();
    return { ...this.requests.sums(), queued };
  }

  /**
   * Gives back what an isolate that has ended held: its connections, its places in the queues and the requests that it
   * was serving, which count as failed. Its totals stay. No other isolate may have its number meanwhile.
   */
  reclaim(isolate: number): Reclaimed {
    const requests = this.requests.reclaim(isolate);
    this.#tickets.reclaim(isolate);
    for (const { line } of this.#pools.values()) line.reclaim(isolate);
    return { requests, connections: this.connections.reclaim(isolate) };
  }
}

/** One isolate's view of what is a pool's own. */
export class PoolMemory {
  /** The pool's, in every isolate. */
  readonly number: number;
  /** The memory that the pool is a part of: its backends are in the tables there. */
  readonly memory: Memory;
  readonly cells: PoolCells;
  readonly retryBudget: RetryBudget;
  /** Who waits for a backend of the pool. */
  readonly line: WaitingLine;

  static lines(isolates: number): number {
    return PoolCells.lines + RetryBudget.lines(isolates) + WaitingLine.lines(isolates);
  }

  constructor(number: number, arena: Arena, memory: Memory, tickets: BoundTickets) {
    this.number = number;
    this.memory = memory;
    this.cells = new PoolCells(arena);
    this.retryBudget = new RetryBudget(arena);
    this.line = new WaitingLine(arena, tickets);
  }
}

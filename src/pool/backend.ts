/** One server that requests are forwarded to. Both planes use this class. */

import { hexDigestOf } from "../digest.ts";
import type { BackendState } from "../config/backend_change.ts";
import { DEFAULT_POOL_NAME } from "../config/pool_settings.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { AnswerCells } from "../memory/answer_cells.ts";
import { ANSWER_CLASSES, type ConnectionCells } from "../memory/connection_cells.ts";
import type { HealthCells } from "../memory/health_cells.ts";
import type { PoolMemory } from "../memory/memory.ts";
import type { Percentiles, RecentTimes } from "../memory/recent_times.ts";
import type { SettingCells } from "../memory/setting_cells.ts";
import { type BackendAddress, backendAddress } from "./backend_address.ts";
import { LastMinute } from "./last_minute.ts";

/** The result of a health check, as `GET /status` shows it. */
export interface CheckResult {
  /** ISO 8601. */
  readonly at: string;
  readonly ok: boolean;
  /** The HTTP status; `null`: a TCP check, or no answer arrived. */
  readonly status: number | null;
  readonly durationMs: number;
  readonly error: string | null;
}

/** The last change of a backend's health or state. */
export interface BackendChange {
  /** ISO 8601. */
  readonly at: string;
  readonly to: "up" | "down" | BackendState;
  readonly reason: string;
}

/** The settings of a backend that an operator can change. */
export interface BackendSettings {
  readonly weight: number;
  readonly maxConnections: number | null;
  readonly backup: boolean;
  readonly state: BackendState;
}

/** A WebSocket or tunnel to a backend. It may last for ever. */
export interface LastingConnection {
  /** Closes the connection on both sides, because the backend has left. */
  goAway(): void;
}

/** Counts of answers by class of status. */
export type Responses = Readonly<Record<`${typeof ANSWER_CLASSES[number]}xx`, number>>;

/** The pool of a backend, as far as the backend needs it. */
interface BackendPool {
  readonly name: string;
  readonly shared: PoolMemory;
}

/** How fast old response times lose weight, in milliseconds (the decay of the peak EWMA). */
const LATENCY_DECAY_MS = 10_000;

/**
 * A backend of a pool. Its identity (URL, id) never changes: a different URL is a different backend. All values that
 * change are read from shared memory at each access.
 */
export class Backend implements BackendAddress {
  /** The same for the same URL in the same pool, across restarts, too. */
  readonly id: string;
  /** Normalised: lower-case host, no default port, no trailing slash. */
  readonly url: string;
  readonly origin: string;
  readonly basePath: string;
  readonly hostname: string;
  readonly endpoint: BackendAddress["endpoint"];
  readonly tls: BackendSpec["tls"];
  /** Its place in shared memory. */
  readonly slot: number;
  /** The number of this backend among those that have had the slot. */
  readonly generation: number;
  /** Health checks so far. Control plane only. */
  readonly checks = { passed: 0, failed: 0 };
  /**
   * Whether it is in the pool. Only then may it get requests. A request that waited may still refer to a removed
   * backend.
   */
  inPool = true;
  /** Whether it has drained before its removal, so that its WebSockets and tunnels end. */
  drained = false;
  readonly lastMinute = new LastMinute(this); // control plane only
  readonly #lasting = new Set<LastingConnection>();
  /** Control plane only. */
  lastCheck: CheckResult | null = null;
  /** Control plane only. */
  lastChange: BackendChange | null = null;
  readonly #shared: PoolMemory;
  readonly #health: HealthCells;
  readonly #settings: SettingCells;
  readonly #connections: ConnectionCells;
  readonly #answers: AnswerCells;
  readonly #latencies: RecentTimes;

  constructor(spec: BackendSpec, slot: number, { shared, name }: BackendPool) {
    const { health, settings, connections, answers, latencies } = shared.memory;
    const { origin, basePath, hostname, endpoint } = backendAddress(spec.url);
    this.id = backendId(spec.url, name);
    this.url = spec.url;
    this.origin = origin;
    this.basePath = basePath;
    this.hostname = hostname;
    this.endpoint = endpoint;
    this.tls = spec.tls;
    this.slot = slot;
    this.generation = settings.generation(slot);
    this.#shared = shared;
    this.#health = health;
    this.#settings = settings;
    this.#connections = connections;
    this.#answers = answers;
    this.#latencies = latencies;
  }

  /** The backend as a configuration would describe it now. */
  get spec(): BackendSpec {
    const { url, weight, maxConnections, backup, tls } = this;
    return { url, weight, maxConnections, backup, tls };
  }

  /** A copy of its present settings. */
  get settings(): BackendSettings {
    const { weight, maxConnections, backup, state } = this;
    return { weight, maxConnections, backup, state };
  }

  /** Whether it is up and not ejected. */
  get alive(): boolean {
    return this.#health.isUp(this.slot) && !this.#health.isEjected(this.slot);
  }

  /** When it was last marked down, in milliseconds since the Unix epoch; 0: never. */
  get downSince(): number {
    return this.#health.downSince(this.slot);
  }

  /** Sets when its outage began, in milliseconds since the Unix epoch. */
  noteDownSince(atMs: number): void {
    this.#health.setDownSince(this.slot, atMs);
  }

  /** When its next health check is due, in milliseconds since the Unix epoch; 0: none is planned. */
  get recheckAt(): number {
    return this.#health.recheckAt(this.slot);
  }

  planCheck(atMs: number): void {
    this.#health.setRecheckAt(this.slot, atMs);
  }

  /** When its ejection ends, in milliseconds since the Unix epoch; 0: it is not ejected. */
  get ejectedUntil(): number {
    return this.#health.ejectedUntil(this.slot);
  }

  planReturn(atMs: number): void {
    this.#health.setEjectedUntil(this.slot, atMs);
  }

  /**
   * Since when all connections to it have failed, in milliseconds since the Unix epoch; 0: the last one did not fail.
   */
  get refusingSince(): number {
    return this.#answers.refusingSince(this.slot);
  }

  /** The health according to checks and connections. Ejections don't count. */
  get up(): boolean {
    return this.#health.isUp(this.slot);
  }

  get ejected(): boolean {
    return this.#health.isEjected(this.slot);
  }

  /** The state that the operator has set. */
  get state(): BackendState {
    return this.#settings.state(this.slot);
  }

  /** 0 to 256; 0: no new traffic. */
  get weight(): number {
    return this.#settings.weight(this.slot);
  }

  /** The step that slow start has reached: 1 to `FULL_RAMP`. */
  get ramp(): number {
    return this.#settings.ramp(this.slot);
  }

  /** The weight that slow start allows now, in tenths. Strategies use it. */
  get effectiveWeight(): number {
    return this.weight * this.ramp;
  }

  get backup(): boolean {
    return this.#settings.isBackup(this.slot);
  }

  /** `null`: no limit. */
  get maxConnections(): number | null {
    return this.#settings.connectionLimit(this.slot) || null;
  }

  /** Requests in flight, of all isolates. */
  get currentConnections(): number {
    return this.#connections.current(this.slot);
  }

  /** Attempts, of all isolates. */
  get totalRequests(): number {
    return this.#connections.requests(this.slot);
  }

  /** Attempts that failed because of the backend, of all isolates. */
  get totalFailures(): number {
    return this.#connections.failures(this.slot);
  }

  /** Answers to attempts by class of status (`2xx`), of all isolates. */
  get responses(): Responses {
    const counts = this.#connections.answers(this.slot);
    return Object.fromEntries(ANSWER_CLASSES.map((digit, index) => [`${digit}xx`, counts[index]])) as Responses;
  }

  /** The times to the response heads of the last minute; `null`: there were none. */
  recentLatency(nowMs = Date.now()): Percentiles | null {
    return this.#latencies.percentiles([this.slot], nowMs);
  }

  /** Peak EWMA of the time to the response head, in milliseconds; `null` before the first answer. */
  get latencyMs(): number | null {
    return this.#answers.latencyMs(this.slot);
  }

  /**
   * Whether its health allows it to serve: it is alive, or all backends are down and serve anyway (`health.failOpen`).
   */
  get usable(): boolean {
    return this.alive || this.#shared.cells.failingOpen;
  }

  /** Whether it may get requests without a session: it is usable, active, and its weight is above 0. */
  get selectable(): boolean {
    return this.usable && this.state === "active" && this.weight > 0;
  }

  /** Whether no connection to it is counted. A slot gets its next backend only after that. */
  get idle(): boolean {
    return this.#settings.generation(this.slot) !== this.generation || this.#connections.isIdle(this.slot);
  }

  /** Whether it is below `maxConnections`. */
  get hasRoom(): boolean {
    return this.#connections.room(this.slot) > 0;
  }

  /**
   * Whether a request may take a place now. Requests that wait longer for one go first.
   *
   * @param ticket the request's ticket; `NO_TICKET`: it does not wait yet
   * @param open whether requests that wait for any backend could use this one
   */
  hasRoomFor(ticket: number, open = true): boolean {
    const { slot } = this;
    const room = this.#connections.room(slot);
    if (room === Infinity) return true;
    const { line } = this.#shared;
    return room > 0 && (line.empty || line.lets({ slot, ticket, room, open }));
  }

  /**
   * Counts a connection until the lease is released; `undefined`: the backend is at `maxConnections` or was removed.
   */
  lease(): Lease | undefined {
    return this.inPool && this.#connections.open(this.slot) ? new Lease(this, this.#connections) : undefined;
  }

  /**
   * Registers a WebSocket or tunnel of this isolate, which is told when it has to end. The returned function ends that.
   */
  joinLasting(connection: LastingConnection): () => void {
    this.#lasting.add(connection);
    if (this.drained) connection.goAway(); // it began after the drain had ended
    return () => this.#lasting.delete(connection);
  }

  /** Ends the WebSockets and tunnels of this isolate, because the drain has ended. */
  endLasting(): void {
    this.drained = true;
    for (const connection of this.#lasting) connection.goAway();
  }

  /** Records a response head, which arrived `latencyMs` after the attempt began. */
  answered(status: number, latencyMs: number, nowMs = Date.now()): void {
    this.clearConnectFailures();
    this.#connections.countAnswer(this.slot, status);
    this.#answers.recordLatency(this.slot, latencyMs, nowMs, LATENCY_DECAY_MS);
    this.#latencies.record(this.slot, latencyMs, nowMs);
  }

  /** Counts an attempt that failed because of the backend. */
  countFailure(): void {
    this.#connections.countFailure(this.slot);
  }

  /** Ends the row of failed connections. */
  clearConnectFailures(): void {
    this.#answers.clearConnectFailures(this.slot);
  }

  /** Counts a failed connection. Returns how many there have been in a row. */
  countConnectFailure(): number {
    return this.#answers.countConnectFailure(this.slot);
  }
}

/** One request in flight at a backend. Counts as a connection until the response body has ended. */
export class Lease {
  readonly backend: Backend;
  readonly #connections: ConnectionCells;
  #open = true;

  constructor(backend: Backend, connections: ConnectionCells) {
    this.backend = backend;
    this.#connections = connections;
  }

  /** Gives the connection back. Later calls do nothing. */
  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connections.close(this.backend.slot);
  }
}

/**
 * `b-` and the first 12 hex digits of a SHA-256: of the URL, or in any pool but `default` of the pool's name and the
 * URL.
 */
function backendId(url: string, pool: string): string {
  const text = pool === DEFAULT_POOL_NAME ? url : `${pool} ${url}`;
  return "b-" + hexDigestOf(text, 12);
}

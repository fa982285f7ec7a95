/** One server that requests are forwarded to, as every plane sees it. */

import { createHash } from "node:crypto";
import type { BackendSpec } from "../config/schema.ts";
import type { AnswerCells } from "../memory/answer_cells.ts";
import type { ConnectionCells } from "../memory/connection_cells.ts";
import type { HealthCells } from "../memory/health_cells.ts";
import type { PoolMemory } from "../memory/memory.ts";
import type { BackendState, SettingCells } from "../memory/setting_cells.ts";

/** The result of a health check, as `GET /status` shows it. */
export interface CheckResult {
  /** ISO 8601. */
  readonly at: string;
  readonly ok: boolean;
  /** HTTP status; `null` for a TCP check or where no answer came. */
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

/** What an operator can set about a backend. */
export interface BackendSettings {
  readonly weight: number;
  readonly maxConnections: number | null;
  readonly backup: boolean;
  readonly state: BackendState;
}

/** A WebSocket or tunnel to a backend: it may last for ever. */
export interface LastingConnection {
  /** Its backend has left: closes it on both sides. */
  goAway(): void;
}

/** How fast old response times are forgotten, in milliseconds (the decay of the peak EWMA). */
const LATENCY_DECAY_MS = 10_000;

/**
 * A backend of the pool. What changes per request is read from shared memory at each look; what it is (URL, id) never
 * changes: a backend with another URL is another backend.
 */
export class Backend {
  /** Stable for a URL across restarts. */
  readonly id: string;
  /** Normalised: lower-case host, no default port, no trailing slash. */
  readonly url: string;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Put before each request's path: `""` or `/base`. */
  readonly basePath: string;
  readonly hostname: string;
  readonly port: number;
  readonly tls: BackendSpec["tls"];
  /** The place in shared memory. */
  readonly slot: number;
  /** Which of the backends that had the slot in turn this is. */
  readonly generation: number;
  /** Control plane only: health checks so far. */
  readonly checks = { passed: 0, failed: 0 };
  /** Whether it may get requests at all; a request that waited may still know it after its removal. */
  inPool = true;
  /** Whether it has drained on its way out, so that WebSockets and tunnels to it end. */
  drained = false;
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

  constructor(spec: BackendSpec, slot: number, shared: PoolMemory) {
    const { health, settings, connections, answers } = shared.memory;
    const url = new URL(spec.url);
    this.id = backendId(spec.url);
    this.url = spec.url;
    this.origin = url.origin;
    this.basePath = url.pathname === "/" ? "" : url.pathname;
    this.hostname = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
    this.port = url.port !== "" ? Number(url.port) : url.protocol === "https:" ? 443 : 80;
    this.tls = spec.tls;
    this.slot = slot;
    this.generation = settings.generation(slot);
    this.#shared = shared;
    this.#health = health;
    this.#settings = settings;
    this.#connections = connections;
    this.#answers = answers;
  }

  /** As the configuration would say it now. */
  get spec(): BackendSpec {
    const { url, weight, maxConnections, backup, tls } = this;
    return { url, weight, maxConnections, backup, tls };
  }

  /** A copy of what an operator can set, as it is now. */
  get settings(): BackendSettings {
    const { weight, maxConnections, backup, state } = this;
    return { weight, maxConnections, backup, state };
  }

  /** The health: checks and passive observations together. */
  get alive(): boolean {
    return this.#health.isUp(this.slot) && !this.#health.isEjected(this.slot);
  }

  /** When it was last marked down, in milliseconds since the Unix epoch; 0: never. */
  get downSince(): number {
    return this.#health.downSince(this.slot);
  }

  /** Its outage counts from this moment, in milliseconds since the Unix epoch. */
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

  /** Since when no connection to it could be made, in milliseconds since the Unix epoch; 0: the last one could. */
  get refusingSince(): number {
    return this.#answers.refusingSince(this.slot);
  }

  /** What checks and connections say, whatever ejections say. */
  get up(): boolean {
    return this.#health.isUp(this.slot);
  }

  get ejected(): boolean {
    return this.#health.isEjected(this.slot);
  }

  /** What the operator asked for. */
  get state(): BackendState {
    return this.#settings.state(this.slot);
  }

  /** 0 to 256; 0: no new traffic. */
  get weight(): number {
    return this.#settings.weight(this.slot);
  }

  /** How far slow start has come: 1 to `FULL_RAMP`. */
  get ramp(): number {
    return this.#settings.ramp(this.slot);
  }

  /** The weight in tenths that slow start allows now; what strategies go by. */
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

  /** Attempts that failed by the backend's fault, of all isolates. */
  get totalFailures(): number {
    return this.#connections.failures(this.slot);
  }

  /** Peak EWMA of the time to the response head; `null` before the first answer. */
  get latencyMs(): number | null {
    return this.#answers.latencyMs(this.slot);
  }

  /** Whether its health lets it serve: it is alive, or all are down and serve all the same (`health.failOpen`). */
  get usable(): boolean {
    return this.alive || this.#shared.cells.failingOpen;
  }

  /** May take new requests that no session binds: usable, active, weight above 0. */
  get selectable(): boolean {
    return this.usable && this.state === "active" && this.weight > 0;
  }

  /** Below `maxConnections`. */
  get hasRoom(): boolean {
    return this.#connections.room(this.slot) > 0;
  }

  /**
   * Whether a request may have a place before all others who wait for one.
   *
   * @param ticket its place in the line; `NO_TICKET`: it does not wait yet
   * @param open whether those who wait for any backend could have this one
   */
  hasRoomFor(ticket: number, open = true): boolean {
    const { slot } = this;
    const room = this.#connections.room(slot);
    if (room === Infinity) return true;
    const { line } = this.#shared;
    return room > 0 && (line.empty || line.lets({ slot, ticket, room, open }));
  }

  /** Counts a connection until the lease is released; `undefined` at `maxConnections` and once it is removed. */
  lease(): Lease | undefined {
    return this.inPool && this.#connections.open(this.slot) ? new Lease(this, this.#connections) : undefined;
  }

  /** Tells a WebSocket or tunnel of this isolate when it has to end, until the returned function is called. */
  joinLasting(connection: LastingConnection): () => void {
    this.#lasting.add(connection);
    if (this.drained) connection.goAway(); // it was on its way when the drain ended
    return () => this.#lasting.delete(connection);
  }

  /** Its drain has ended: nobody waits any longer for what may last for ever. */
  endLasting(): void {
    this.drained = true;
    for (const connection of this.#lasting) connection.goAway();
  }

  /** A response head came: `latencyMs` after the attempt began. */
  answered(latencyMs: number): void {
    this.clearConnectFailures();
    this.#answers.recordLatency(this.slot, latencyMs, Date.now(), LATENCY_DECAY_MS);
  }

  /** An attempt failed by the backend's fault. */
  countFailure(): void {
    this.#connections.countFailure(this.slot);
  }

  /** The row of failed connections is over. */
  clearConnectFailures(): void {
    this.#answers.clearConnectFailures(this.slot);
  }

  /** A connection could not be made; returns how many in a row could not. */
  countConnectFailure(): number {
    return this.#answers.countConnectFailure(this.slot);
  }
}

/** One request in flight at a backend. Ends when the response body does, exactly once. */
export class Lease {
  readonly backend: Backend;
  readonly #connections: ConnectionCells;
  #open = true;

  constructor(backend: Backend, connections: ConnectionCells) {
    this.backend = backend;
    this.#connections = connections;
  }

  /** Gives the connection back; later calls do nothing. */
  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connections.close(this.backend.slot);
  }
}

/** `b-` and the first 12 hex digits of the URL's SHA-256. */
function backendId(url: string): string {
  return "b-" + createHash("sha256").update(url).digest("hex").slice(0, 12);
}

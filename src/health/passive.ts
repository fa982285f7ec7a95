/** Passive health: takes a backend out of rotation because of failed requests. */

import type { Config, HealthConfig } from "../config/schema.ts";
import { formatDuration, MAX_TIMER_MS } from "../config/units.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { type Clock, systemClock } from "../net/clock.ts";
import { canSpare } from "./spare.ts";

type PassiveConfig = Config["passive"];

/** What a `PassiveHealth` works with. */
export interface PassiveHealthOptions {
  readonly pool: ServerPool;
  readonly config: PassiveConfig;
  /** With `none`, no check would mark a backend up again. So a backend that refuses connections is ejected instead. */
  readonly healthType: HealthConfig["type"];
  readonly clock?: Clock;
}

/** Receives reports of attempts that failed because of a backend. */
export type FailureReports = Pick<PassiveHealth, "connectFailed" | "failed" | "serverError">;

/** An ejection repeats when the last one ended no longer ago than this many times `ejectFor`, … */
const REPEATS_WITHIN = 10;

/** … and lasts for this many times `ejectFor` at most. */
const LONGEST = 10;

/** A backend that is ejected for a time. */
interface Ejection {
  readonly lastsMs: number;
  /** Only those for failed requests are limited by `maxEjected`. */
  readonly cause: "failures" | "connections";
  readonly cancelTimer: () => void;
}

/** Ejects backends, or marks them down, because of failed attempts. Ends ejections when their time is over. */
export class PassiveHealth {
  readonly #pool: ServerPool;
  readonly #clock: Clock;
  #config: PassiveConfig;
  #checked: boolean;
  #failures = new WeakMap<Backend, RecentFailures>();
  /** Ordered by their beginning, the oldest first. */
  readonly #ejections = new Map<Backend, Ejection>();
  /** Those that are over. */
  readonly #lastEjections = new WeakMap<Backend, { readonly lastedMs: number; readonly endedAtMs: number }>();
  readonly #unsubscribe: () => void;
  #stopped = false;

  constructor({ pool, config, healthType, clock = systemClock }: PassiveHealthOptions) {
    this.#pool = pool;
    this.#clock = clock;
    this.#config = config;
    this.#checked = healthType !== "none";
    this.#unsubscribe = pool.subscribe(({ type, backend }) => {
      if (type === "removed") this.#removed(backend);
      if (type !== "up" && type !== "added" && type !== "active") this.#keepOne();
    });
  }

  /** Uses other limits from now on, for a reload. Present ejections end at their original time. */
  configure(config: PassiveConfig, healthType: HealthConfig["type"]): void {
    if (config.serverErrors !== this.#config.serverErrors) this.#failures = new WeakMap();
    this.#config = config;
    this.#checked = healthType !== "none";
    this.#endExcessEjections();
  }

  /** A connection failed. Enough of these in a row mark the backend down, or eject it if there are no checks. */
  connectFailed(backend: Backend, reason: string): void {
    const { connectFailures } = this.#config;
    if (connectFailures === 0 || backend.countConnectFailure() < connectFailures || !this.#concerns(backend)) return;
    if (this.#checked) this.#pool.setUp(backend, false, `connect failed: ${reason}`);
    else if (!backend.ejected && canSpare(this.#pool.backends, backend)) {
      this.#eject(backend, "connections", `connect failed: ${reason}`);
    }
  }

  /**
   * Another isolate had enough failed connections and took a backend out through the shared memory, as `connectFailed`
   * does. Does the rest, which that isolate can't do. Only that isolate knows `wasAlive`: the memory has changed since.
   */
  tookOut(backend: Backend, reason: string, wasAlive: boolean): void {
    if (!this.#concerns(backend)) return;
    if (wasAlive) this.#pool.noteDown(backend, reason);
    // That isolate did not know yet that checks are off now. Without checks, nothing else would mark the backend up.
    if (!this.#checked) this.#pool.setUp(backend, true, "health checks are off");
    if ((!this.#checked || backend.ejected) && !this.#ejections.has(backend)) {
      this.#eject(backend, "connections", reason);
      this.#keepOne(); // other backends may have gone since that isolate looked
    }
  }

  /** An attempt failed after its connection was made: lost, malformed or timed out. */
  failed(backend: Backend, _reason: string): void {
    if (this.#config.serverErrors > 0) this.#recordFailure(backend);
  }

  /** A response with a status of 500 or above came. */
  serverError(backend: Backend, _status: number): void {
    if (this.#config.serverErrors > 0) this.#recordFailure(backend);
  }

  /** Clears all timers; later reports change nothing. Ejected backends stay ejected. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    for (const { cancelTimer } of this.#ejections.values()) cancelTimer();
    this.#ejections.clear();
  }

  /** A request may outlive both its backend's time in the pool and this object. */
  #concerns(backend: Backend): boolean {
    return !this.#stopped && this.#pool.backends.includes(backend);
  }

  #recordFailure(backend: Backend): void {
    if (backend.ejected) return; // its count starts at 0 when it comes back
    const { serverErrors, windowMs, maxEjected } = this.#config;
    const nowMs = this.#clock.now();
    let failures = this.#failures.get(backend);
    if (failures === undefined) this.#failures.set(backend, failures = new RecentFailures(serverErrors));
    const sinceMs = failures.record(nowMs);
    if (!isTooMany({ sinceMs, nowMs, windowMs }) || !this.#concerns(backend)) return;
    if (this.#ejectedForFailures().length >= ejectionLimit(this.#pool.backends.length, maxEjected)) return;
    if (!canSpare(this.#pool.backends, backend)) return;
    const count = serverErrors === 1 ? "1 failure" : `${serverErrors} failures`;
    this.#eject(backend, "failures", `ejected: ${count} in ${formatDuration(windowMs)}`);
  }

  #eject(backend: Backend, cause: Ejection["cause"], reason: string): void {
    const lastsMs = this.#ejectionMs(backend);
    const cancelTimer = this.#clock.after(lastsMs, () => this.#endEjection(backend));
    this.#ejections.set(backend, { cause, lastsMs, cancelTimer });
    backend.planReturn(this.#clock.now() + lastsMs);
    this.#pool.setEjected(backend, true, reason);
  }

  /** Twice as long as the last ejection, if that ended recently: each return of a failing backend costs requests. */
  #ejectionMs(backend: Backend): number {
    const { ejectForMs } = this.#config;
    const last = this.#lastEjections.get(backend);
    if (last === undefined || this.#clock.now() - last.endedAtMs > REPEATS_WITHIN * ejectForMs) return ejectForMs;
    return Math.min(Math.max(2 * last.lastedMs, ejectForMs), LONGEST * ejectForMs, MAX_TIMER_MS);
  }

  #endEjection(backend: Backend, reason = "ejection ended"): void {
    const lastedMs = this.#ejections.get(backend)?.lastsMs ?? 0;
    this.#lastEjections.set(backend, { lastedMs, endedAtMs: this.#clock.now() });
    this.#forget(backend);
    backend.clearConnectFailures();
    backend.planReturn(0);
    this.#pool.setEjected(backend, false, reason);
  }

  /** If no other backend takes requests, ends the ejection that has lasted longest. */
  #keepOne(): void {
    const { backends } = this.#pool;
    if (this.#ejections.size === 0 || backends.some((backend) => backend.selectable)) return;
    for (const [backend] of this.#ejections) {
      if (backend.up && backend.state === "active" && backend.weight > 0) {
        return this.#endEjection(backend, "ejection ended: no other backend is left");
      }
    }
  }

  #removed(backend: Backend): void {
    this.#forget(backend);
    this.#endExcessEjections();
  }

  #forget(backend: Backend): void {
    this.#ejections.get(backend)?.cancelTimer();
    this.#ejections.delete(backend);
    this.#failures.delete(backend);
  }

  /** When the pool has shrunk, more backends may be ejected than `maxEjected` allows. Ends the oldest ejections. */
  #endExcessEjections(): void {
    const ejected = this.#ejectedForFailures();
    const limit = ejectionLimit(this.#pool.backends.length, this.#config.maxEjected);
    for (const backend of ejected.slice(0, Math.max(ejected.length - limit, 0))) this.#endEjection(backend);
  }

  #ejectedForFailures(): Backend[] {
    return [...this.#ejections].filter(([, { cause }]) => cause === "failures").map(([backend]) => backend);
  }
}

/** The times of a backend's last failures, as many as it takes to eject it. Memory grows with failures only. */
class RecentFailures {
  readonly #capacity: number;
  /** A ring once it is full. */
  readonly #timesMs: number[] = [];
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Returns when the oldest of the last `capacity` failures was, this one included; `undefined` if there are fewer. */
  record(nowMs: number): number | undefined {
    this.#timesMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#capacity;
    return this.#timesMs[this.#next];
  }
}

/** Whether the last failures, the oldest of them at `sinceMs`, all lie within the window; the window's ends count. */
export function isTooMany(
  { sinceMs, nowMs, windowMs }: { sinceMs: number | undefined; nowMs: number; windowMs: number },
): boolean {
  return sinceMs !== undefined && nowMs - sinceMs <= windowMs;
}

/** How many of a pool's backends may be out at once: a share of all, rounded down. */
export function ejectionLimit(backends: number, maxEjected: number): number {
  // 0.29 × 100 is 28.999999999999996 in binary fractions.
  return Math.floor(backends * maxEjected + 1e-9);
}

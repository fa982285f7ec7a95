/** Passive health: takes a backend out of rotation because of failed requests. */

import { formatDuration } from "../config/units.ts";
import { type Clock, systemClock } from "../net/clock.ts";
import type { Backend } from "../pool/backend.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import {
  canSpare,
  counts,
  ejectionLimit,
  ejectionMs,
  judge,
  mustReturn,
  type PassiveLimits,
  type PastEjection,
} from "./passive_rule.ts";
import { takeOutUnreachable } from "./take_out.ts";

/** What a `PassiveHealth` works with. */
export interface PassiveHealthOptions {
  readonly pool: ServerPool;
  readonly limits: PassiveLimits;
  readonly clock?: Clock;
}

/** Receives reports of attempts that failed because of a backend. */
export type FailureReports = Pick<PassiveHealth, "connectFailed" | "failed" | "serverError">;

/** A backend that is ejected for a time. */
interface Ejection {
  readonly lastsMs: number;
  /** Only those for failed requests are limited by `maxEjected`. */
  readonly cause: "failures" | "connections";
  readonly cancelTimer: () => void;
}

/**
 * Ejects backends, or marks them down, because of failed attempts, as `passive_rule.ts` decides. Ends ejections when
 * their time is over.
 */
export class PassiveHealth {
  readonly #pool: ServerPool;
  readonly #clock: Clock;
  #limits: PassiveLimits;
  #failures = new WeakMap<Backend, RecentFailures>();
  /** Ordered by their beginning, the oldest first. */
  readonly #ejections = new Map<Backend, Ejection>();
  /** Those that are over. */
  readonly #lastEjections = new WeakMap<Backend, PastEjection>();
  readonly #unsubscribe: () => void;
  #stopped = false;

  constructor({ pool, limits, clock = systemClock }: PassiveHealthOptions) {
    this.#pool = pool;
    this.#clock = clock;
    this.#limits = limits;
    this.#unsubscribe = pool.subscribe(({ type, backend }) => {
      if (type === "removed") this.#removed(backend);
      if (type !== "up" && type !== "added" && type !== "active") this.#keepOne();
    });
  }

  /** Uses other limits from now on, for a reload. Present ejections end at their original time. */
  configure(limits: PassiveLimits): void {
    if (limits.serverErrors !== this.#limits.serverErrors) this.#failures = new WeakMap();
    this.#limits = limits;
    this.#endExcessEjections();
  }

  /** A connection failed. Enough of these in a row mark the backend down, or eject it if there are no checks. */
  connectFailed(backend: Backend, reason: string): void {
    if (!this.#concerns(backend)) return;
    const taken = takeOutUnreachable(this.#pool, backend, this.#limits);
    if (taken !== undefined) this.tookOut(backend, reason, taken.wasAlive);
  }

  /**
   * An isolate had enough failed connections and took a backend out through the shared memory. Does the rest, which only
   * the control plane can do. Only that isolate knows `wasAlive`: the memory has changed since.
   */
  tookOut(backend: Backend, reason: string, wasAlive: boolean): void {
    if (!this.#concerns(backend)) return;
    const { checked } = this.#limits;
    const why = `connect failed: ${reason}`;
    if (wasAlive) this.#pool.noteDown(backend, why);
    // That isolate may not have known yet that checks are off. Without checks, nothing else would mark the backend up.
    if (!checked) this.#pool.setUp(backend, true, "health checks are off");
    if ((!checked || backend.ejected) && !this.#ejections.has(backend)) {
      this.#eject(backend, "connections", why);
      this.#keepOne(); // other backends may have gone since that isolate looked
    }
  }

  /** An attempt failed after its connection was made: lost, malformed or timed out. */
  failed(backend: Backend, _reason: string): void {
    this.#recordFailure(backend);
  }

  /** A response with a status of 500 or above came. */
  serverError(backend: Backend, _status: number): void {
    this.#recordFailure(backend);
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
    if (!counts("failure", backend, this.#limits) || !this.#concerns(backend)) return;
    const { serverErrors, windowMs } = this.#limits;
    const nowMs = this.#clock.now();
    let failures = this.#failures.get(backend);
    if (failures === undefined) this.#failures.set(backend, failures = new RecentFailures(serverErrors));
    const sinceMs = failures.record(nowMs);
    if (judge(backend, { type: "failure", sinceMs, nowMs }, this.#limits) === "stays" || !this.#canEject(backend)) {
      return;
    }
    const count = serverErrors === 1 ? "1 failure" : `${serverErrors} failures`;
    this.#eject(backend, "failures", `ejected: ${count} in ${formatDuration(windowMs)}`);
  }

  #canEject(backend: Backend): boolean {
    const { backends } = this.#pool;
    const hasRoom = this.#ejectedForFailures().length < ejectionLimit(backends.length, this.#limits.maxEjected);
    return hasRoom && canSpare(backends, backend);
  }

  #eject(backend: Backend, cause: Ejection["cause"], reason: string): void {
    const nowMs = this.#clock.now();
    const lastsMs = ejectionMs(this.#lastEjections.get(backend), nowMs, this.#limits.ejectForMs);
    const cancelTimer = this.#clock.after(lastsMs, () => this.#endEjection(backend));
    this.#ejections.set(backend, { cause, lastsMs, cancelTimer });
    backend.planReturn(nowMs + lastsMs);
    this.#pool.setEjected(backend, true, reason);
  }

  #endEjection(backend: Backend, reason = "ejection ended"): void {
    const lastedMs = this.#ejections.get(backend)?.lastsMs ?? 0;
    this.#lastEjections.set(backend, { lastedMs, endedAtMs: this.#clock.now() });
    this.#forget(backend);
    backend.clearConnectFailures();
    backend.planReturn(0);
    this.#pool.setEjected(backend, false, reason);
  }

  #keepOne(): void {
    if (this.#ejections.size === 0) return;
    const backend = mustReturn(this.#pool.backends, this.#ejections.keys());
    if (backend !== undefined) this.#endEjection(backend, "ejection ended: no other backend is left");
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
    const limit = ejectionLimit(this.#pool.backends.length, this.#limits.maxEjected);
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

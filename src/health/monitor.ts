/** The health monitor: checks every backend again and again, and tells the pool who is up. */

import type { HealthConfig } from "../config/schema.ts";
import { MAX_TIMER_MS } from "../config/units.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { PoolEvent, ServerPool } from "../pool/server_pool.ts";
import { type Observation, type Probe, type ProbeFactory, PROBES } from "./probes.ts";
import { type Clock, systemClock } from "./clock.ts";
import { SlowStart } from "./slow_start.ts";
import { freshState, type HealthState, observe } from "./transition.ts";

/** What a `HealthMonitor` works with. */
export interface HealthMonitorOptions {
  readonly pool: ServerPool;
  readonly config: HealthConfig;
  readonly log: Log;
  /** Instead of the kind of check that `config.type` names. */
  readonly probe?: ProbeFactory;
  readonly clock?: Clock;
  /** From 0 up to 1, for the jitter. */
  readonly random?: () => number;
}

/**
 * Keeps the pool's view of each backend true, from its creation to `stop`. Each backend has a loop of its own, so that
 * a slow one delays nobody else; it begins with a check at once and ends when the backend is removed. What operators
 * asked for (`draining`, `disabled`) changes nothing about checks.
 */
export class HealthMonitor {
  readonly #pool: ServerPool;
  readonly #config: HealthConfig;
  readonly #log: Log;
  readonly #probeFor: ProbeFactory | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #slowStart: SlowStart;
  readonly #unsubscribe: () => void;
  /** What ends the loop of each backend. */
  readonly #watched = new Map<Backend, AbortController>();
  /** Loops that have not ended, those of removed backends included. */
  readonly #loops = new Set<Promise<void>>();

  constructor({ pool, config, log, probe, clock = systemClock, random = Math.random }: HealthMonitorOptions) {
    this.#pool = pool;
    this.#config = config;
    this.#log = log;
    this.#probeFor = config.type === "none" ? undefined : probe ?? PROBES[config.type];
    this.#clock = clock;
    this.#random = random;
    this.#slowStart = new SlowStart({ pool, durationMs: config.slowStartMs, clock });
    this.#unsubscribe = pool.subscribe((event) => this.#poolChanged(event));
    for (const backend of pool.backends) {
      // Without checks nobody else would let back in whom earlier ones took out.
      if (this.#probeFor === undefined) pool.setUp(backend, true, "health checks are off");
      else this.#watch(backend, this.#probeFor);
    }
  }

  /** Ends all checks, also those under way; resolves when none is left. What the pool says of each backend stays. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#slowStart.stop();
    for (const backend of this.#watched.keys()) this.#unwatch(backend);
    await Promise.all(this.#loops);
  }

  #poolChanged({ type, backend }: PoolEvent): void {
    if (type === "removed") this.#unwatch(backend);
    else if (type === "added" && this.#probeFor !== undefined) this.#watch(backend, this.#probeFor);
  }

  #watch(backend: Backend, probeFor: ProbeFactory): void {
    const stopping = new AbortController();
    this.#watched.set(backend, stopping);
    const loop = this.#checkUntil(stopping.signal, backend, probeFor(backend, this.#config));
    this.#loops.add(loop);
    loop.finally(() => this.#loops.delete(loop));
  }

  #unwatch(backend: Backend): void {
    this.#watched.get(backend)?.abort();
    this.#watched.delete(backend);
    this.#pool.shared.setRecheckAt(backend.slot, 0);
  }

  /** Once `stopped` has fired, nothing about the backend is touched: its slot may be another's by then. */
  async #checkUntil(stopped: AbortSignal, backend: Backend, probe: Probe): Promise<void> {
    let state = freshState(backend.up);
    try {
      while (!stopped.aborted) {
        const startedAt = this.#clock.now();
        const wasUp = backend.up;
        const observation = await probe.check(stopped);
        if (stopped.aborted) return;
        if (observation.inconclusive) {
          this.#log.warn("check could not be made", { backend: backend.url, error: observation.error });
        } else {
          this.#record(backend, observation);
          state = this.#conclude(backend, { state, wasUp, observation });
        }
        if (stopped.aborted) return; // by a listener of the pool, on this very news
        const pauseMs = this.#pauseMs(this.#clock.now() - startedAt);
        this.#pool.shared.setRecheckAt(backend.slot, this.#clock.now() + pauseMs);
        await this.#sleep(pauseMs, stopped);
      }
    } finally {
      probe.close();
    }
  }

  #record(backend: Backend, observation: Observation): void {
    const { ok, status, durationMs, error } = observation;
    backend.checks[ok ? "passed" : "failed"]++;
    backend.lastCheck = { at: new Date(this.#clock.now()).toISOString(), ok, status, durationMs, error };
    this.#log.debug("check", { backend: backend.url, ok, status, durationMs, error });
  }

  /** Tells the pool what a check means; returns the state that the next one builds on. */
  #conclude(backend: Backend, check: { state: HealthState; wasUp: boolean; observation: Observation }): HealthState {
    const { wasUp, observation: { ok, error } } = check;
    const { up } = backend;
    // A connection failed while this check was on its way: that is newer than a check that began before it, and only
    // one that begins now may undo it. Nobody but this loop marks a backend up, so `wasUp` can't hide two changes.
    if (ok && wasUp && !up) return freshState(up);
    // The count of a state that a failed connection has ended means nothing for the present one.
    const state = check.state.up === up ? check.state : freshState(up);
    const next = observe(state, ok, this.#config);
    if (next.up === up) return next;
    // The row of failures that took it down is over; else the next single one would do so again.
    if (next.up) this.#pool.shared.clearConnectFailures(backend.slot);
    this.#pool.setUp(backend, next.up, next.up ? "check passed" : `check failed: ${error}`);
    return next;
  }

  /** The time to the next check. Checks are an interval apart from start to start, so a slow one shortens the pause. */
  #pauseMs(elapsedMs: number): number {
    const { intervalMs, jitter } = this.#config;
    const spacingMs = Math.min(intervalMs * (1 + jitter * (2 * this.#random() - 1)), MAX_TIMER_MS);
    // Not more than the spacing, whatever a system clock that was set back makes of `elapsedMs`.
    return Math.min(Math.max(spacingMs - elapsedMs, 0), spacingMs);
  }

  #sleep(ms: number, stopped: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        stopped.removeEventListener("abort", wake);
        resolve();
      };
      const cancel = this.#clock.after(ms, wake);
      stopped.addEventListener("abort", wake);
    });
  }
}

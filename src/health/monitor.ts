/** The health monitor: checks every backend again and again, and tells the pool who is up. */

import type { HealthConfig } from "../config/schema.ts";
import { MAX_TIMER_MS } from "../config/units.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { PoolEvent, ServerPool } from "../pool/server_pool.ts";
import { adviceOn } from "./advice.ts";
import { CheckGate } from "./check_gate.ts";
import { type Clock, systemClock } from "../net/clock.ts";
import { Nap } from "./nap.ts";
import { Pace, QUICK_MS } from "./pace.ts";
import { type Observation, type Probe, type ProbeFactory, PROBES } from "./probes.ts";
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

/** While a backend is down, this often it is looked whether requests wait for one. */
const HOLD_LOOK_MS = 50;

/** One backend that is checked. */
interface Watch {
  readonly backend: Backend;
  readonly probe: Probe;
  readonly stopping: AbortController;
  readonly nap: Nap;
  readonly pace: Pace;
  state: HealthState;
  /** When its last check began, in milliseconds of the clock. */
  checkedAtMs: number;
  loop: Promise<void>;
}

/**
 * Keeps the pool's view of each backend true, from its creation to `stop`. Each backend has a loop of its own, so that
 * a slow one delays nobody else; it begins with a check soon and ends when the backend is removed. What operators
 * asked for (`draining`, `disabled`) changes nothing about checks.
 */
export class HealthMonitor {
  readonly #pool: ServerPool;
  readonly #log: Log;
  readonly #probe: ProbeFactory | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #gate = new CheckGate();
  readonly #unsubscribe: () => void;
  readonly #watched = new Map<Backend, Watch>();
  /** Those of `#watched` that are down. */
  readonly #down = new Set<Watch>();
  /** Loops that have not ended, those of removed backends included. */
  readonly #loops = new Set<Promise<void>>();
  #config: HealthConfig;
  #slowStart: SlowStart;
  #cancelHoldLook: (() => void) | undefined;

  constructor({ pool, config, log, probe, clock = systemClock, random = Math.random }: HealthMonitorOptions) {
    this.#pool = pool;
    this.#config = config;
    this.#log = log;
    this.#probe = probe;
    this.#clock = clock;
    this.#random = random;
    this.#slowStart = new SlowStart({ pool, durationMs: config.slowStartMs, clock });
    this.#unsubscribe = pool.subscribe((event) => this.#poolChanged(event));
    this.#watchAll();
  }

  /**
   * Goes by another configuration from now on, for a reload. What is known of each backend stays; so does a row of
   * failed or passed checks, if the new checks ask the same.
   */
  configure(config: HealthConfig): void {
    if (JSON.stringify(config) === JSON.stringify(this.#config)) return;
    const asksTheSame = question(config) === question(this.#config);
    this.#config = config;
    this.#slowStart.stop();
    this.#slowStart = new SlowStart({ pool: this.#pool, durationMs: config.slowStartMs, clock: this.#clock });
    const before = new Map(this.#watched);
    for (const backend of before.keys()) this.#unwatch(backend);
    this.#watchAll(before, asksTheSame);
  }

  /** Ends all checks, also those under way; resolves when none is left. What the pool says of each backend stays. */
  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#slowStart.stop();
    for (const backend of this.#watched.keys()) this.#unwatch(backend);
    await Promise.all(this.#loops);
  }

  get #probeFor(): ProbeFactory | undefined {
    return this.#config.type === "none" ? undefined : this.#probe ?? PROBES[this.#config.type];
  }

  #watchAll(before: ReadonlyMap<Backend, Watch> = new Map(), asksTheSame = false): void {
    for (const backend of this.#pool.backends) {
      // Without checks nobody else would let back in whom earlier ones took out.
      if (this.#probeFor === undefined) this.#pool.setUp(backend, true, "health checks are off");
      else this.#watch(backend, this.#probeFor, before.get(backend), asksTheSame);
    }
  }

  #poolChanged({ type, backend }: PoolEvent): void {
    const watch = this.#watched.get(backend);
    if (type === "removed") this.#unwatch(backend);
    else if (type === "added" && this.#probeFor !== undefined) this.#watch(backend, this.#probeFor);
    else if (type === "down" && watch !== undefined && !backend.up) this.#wentDown(watch);
    else if (type === "up" && watch !== undefined) this.#cameUp(watch);
  }

  /** @param before the watch that this one goes on from, which has been told to stop */
  #watch(backend: Backend, probeFor: ProbeFactory, before?: Watch, asksTheSame = false): void {
    const watch: Watch = {
      backend,
      probe: probeFor(backend, this.#config),
      stopping: new AbortController(),
      nap: new Nap(this.#clock),
      pace: before?.pace ?? new Pace(),
      state: before !== undefined && asksTheSame ? before.state : freshState(backend.up),
      checkedAtMs: before?.checkedAtMs ?? 0,
      loop: Promise.resolve(),
    };
    this.#watched.set(backend, watch);
    if (!backend.up) this.#noteDown(watch);
    const loop = this.#run(watch, before?.loop);
    watch.loop = loop;
    this.#loops.add(loop);
    loop.finally(() => this.#loops.delete(loop));
  }

  #unwatch(backend: Backend): void {
    const watch = this.#watched.get(backend);
    if (watch === undefined) return;
    this.#watched.delete(backend);
    this.#noteUp(watch);
    watch.stopping.abort();
    watch.nap.end();
    backend.planCheck(0);
  }

  /** Once it is told to stop, nothing about the backend is touched: its slot may be another's by then. */
  async #run(watch: Watch, before: Promise<void> | undefined): Promise<void> {
    const stopped = watch.stopping.signal;
    const delayMs = this.#gate.firstDelayMs(this.#clock.now());
    try {
      if (before !== undefined) await before; // two checks of a backend at a time would be one too many
      if (delayMs > 0 && !stopped.aborted) await this.#pause(watch, delayMs);
      while (!stopped.aborted && await this.#gate.enter(stopped)) {
        const startedAtMs = this.#clock.now();
        watch.checkedAtMs = startedAtMs;
        await this.#check(watch).finally(() => this.#gate.leave());
        if (stopped.aborted) return; // possibly by a listener of the pool, on this very news
        await this.#pause(watch, this.#pauseMs(watch, this.#clock.now() - startedAtMs));
      }
    } finally {
      watch.probe.close();
    }
  }

  async #check(watch: Watch): Promise<void> {
    const { backend, stopping: { signal: stopped } } = watch;
    const wasUp = backend.up;
    const observation = await watch.probe.check(stopped);
    if (stopped.aborted) return;
    if (observation.inconclusive) {
      this.#log.warn("check could not be made", { backend: backend.url, error: observation.error });
      return;
    }
    this.#record(backend, observation);
    this.#conclude(watch, wasUp, observation);
  }

  #record(backend: Backend, observation: Observation): void {
    const { ok, status, durationMs, error } = observation;
    backend.checks[ok ? "passed" : "failed"]++;
    backend.lastCheck = { at: new Date(this.#clock.now()).toISOString(), ok, status, durationMs, error };
    this.#log.debug("check", { backend: backend.url, ok, status, durationMs, error });
  }

  /** Tells the pool what a check means. */
  #conclude(watch: Watch, wasUp: boolean, observation: Observation): void {
    const { ok, error } = observation;
    const { backend } = watch;
    const { up } = backend;
    // The count of a state that a failed connection has ended means nothing for the present one.
    if (watch.state.up !== up) watch.state = freshState(up);
    // A connection failed while this check was on its way: that is newer than a check that began before it, and only
    // one that begins now may undo it. Nobody but this loop marks a backend up, so `wasUp` can't hide two changes.
    if (ok && wasUp && !up) return;
    watch.state = observe(watch.state, ok, this.#config);
    if (watch.state.up === up) return;
    // The row of failures that took it down is over; else the next single one would do so again.
    if (!up) backend.clearConnectFailures();
    else this.#advise(backend, observation);
    this.#pool.setUp(backend, !up, up ? `check failed: ${error}` : "check passed");
  }

  /** A check may fail for no more than a setting, and who reads the log is to know which. */
  #advise(backend: Backend, observation: Observation): void {
    const advice = adviceOn(observation, this.#config);
    if (advice === undefined) return;
    this.#log.warn("check failed", { backend: backend.url, error: observation.error, advice });
  }

  #wentDown(watch: Watch): void {
    this.#noteDown(watch);
    watch.pace.wentDown(this.#clock.now(), this.#config.intervalMs);
    this.#hasten(watch, () => watch.pace.takeQuick(this.#config.intervalMs));
  }

  #cameUp(watch: Watch): void {
    this.#noteUp(watch);
    watch.pace.cameUp(this.#clock.now());
  }

  #noteDown(watch: Watch): void {
    this.#down.add(watch);
    this.#cancelHoldLook ??= this.#clock.after(HOLD_LOOK_MS, this.#lookForHeld);
  }

  #noteUp(watch: Watch): void {
    this.#down.delete(watch);
    if (this.#down.size > 0) return;
    this.#cancelHoldLook?.();
    this.#cancelHoldLook = undefined;
  }

  /**
   * While a request waits for a backend to come back, backends are checked every `QUICK_MS`: those that are down, and
   * those of which nobody knows yet that they are.
   */
  readonly #lookForHeld = (): void => {
    this.#cancelHoldLook = this.#clock.after(HOLD_LOOK_MS, this.#lookForHeld);
    if (this.#pool.shared.line.holding() === 0) return;
    for (const watch of this.#watched.values()) this.#hasten(watch, () => this.#heldPauseMs(watch));
  };

  #heldPauseMs({ checkedAtMs }: Watch): number {
    return Math.min(Math.max(QUICK_MS - (this.#clock.now() - checkedAtMs), 0), QUICK_MS);
  }

  /** Brings the next check forward, unless one is under way. */
  #hasten({ nap, backend }: Watch, pauseMs: () => number): void {
    if (!nap.isUnderWay) return;
    const ms = pauseMs();
    if (nap.shorten(ms)) backend.planCheck(this.#clock.now() + ms);
  }

  #pause({ nap, backend }: Watch, ms: number): Promise<void> {
    backend.planCheck(this.#clock.now() + ms);
    return nap.sleep(ms);
  }

  /** The time to the next check. Checks are an interval apart from start to start, so a slow one shortens the pause. */
  #pauseMs(watch: Watch, elapsedMs: number): number {
    const { intervalMs, jitter } = this.#config;
    const spacingMs = Math.min(intervalMs * (1 + jitter * (2 * this.#random() - 1)), MAX_TIMER_MS);
    // Not more than the spacing, whatever a system clock that was set back makes of `elapsedMs`.
    const pauseMs = Math.min(Math.max(spacingMs - elapsedMs, 0), spacingMs);
    if (watch.backend.up) return pauseMs;
    this.#noteDown(watch); // nobody was told where it was ejected as well
    const quickMs = Math.min(watch.pace.takeQuick(spacingMs), pauseMs);
    return this.#pool.shared.line.holding() > 0 ? Math.min(quickMs, this.#heldPauseMs(watch)) : quickMs;
  }
}

/** What checks ask of a backend, beside its own settings: a row of answers to something else is no row. */
function question({ type, path, method, status, body, headers, port, tls, timeoutMs }: HealthConfig): string {
  return JSON.stringify([type, path, method, status, body, headers, port, tls, timeoutMs]);
}

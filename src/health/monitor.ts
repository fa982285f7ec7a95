/** The health monitor: checks every backend at an interval and tells the pool which are up. */

import type { HealthConfig } from "../config/schema.ts";
import { MAX_TIMER_MS } from "../config/units.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { PoolEvent, ServerPool } from "../pool/server_pool.ts";
import { adviceOn } from "./advice.ts";
import { CheckClients } from "./check_clients.ts";
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
  /** Replaces the kind of check that `config.type` names. */
  readonly probe?: ProbeFactory;
  readonly clock?: Clock;
  /** Limits the checks of several monitors together. Default: those of this one. */
  readonly gate?: CheckGate;
  /** Shared by several monitors. Default: those of this one. */
  readonly clients?: CheckClients;
  /** From 0 up to 1, for the jitter. */
  readonly random?: () => number;
}

/** While a backend is down, how often the monitor looks whether requests wait for a backend. */
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
 * Keeps the pool's view of each backend up to date, from its creation to `stop`. Each backend has its own loop, so that
 * a slow backend delays no other. The loop begins with a check and ends when the backend is removed. The state that an
 * operator sets (`draining`, `disabled`) does not change the checks.
 */
export class HealthMonitor {
  readonly #pool: ServerPool;
  readonly #log: Log;
  readonly #probe: ProbeFactory | undefined;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #gate: CheckGate;
  readonly #clients: CheckClients;
  readonly #unsubscribe: () => void;
  readonly #watched = new Map<Backend, Watch>();
  /** The backends of `#watched` that are down. */
  readonly #down = new Set<Watch>();
  /** Loops that have not ended, including those of removed backends. */
  readonly #loops = new Set<Promise<void>>();
  #config: HealthConfig;
  #slowStart: SlowStart;
  #cancelHoldLook: (() => void) | undefined;

  constructor(options: HealthMonitorOptions) {
    const { pool, config, log, probe, clock = systemClock, gate = new CheckGate() } = options;
    const { clients = new CheckClients(), random = Math.random } = options;
    this.#pool = pool;
    this.#config = config;
    this.#log = log;
    this.#probe = probe;
    this.#clock = clock;
    this.#gate = gate;
    this.#clients = clients;
    this.#random = random;
    this.#slowStart = new SlowStart({ pool, durationMs: config.slowStartMs, clock });
    this.#unsubscribe = pool.subscribe((event) => this.#poolChanged(event));
    this.#watchAll();
  }

  /**
   * Uses another configuration from now on, for a reload. The health of each backend stays. So do the counts of failed
   * and passed checks, if the new checks ask the same.
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

  /** Ends all checks, also those in flight; resolves when none is left. The pool keeps the health of each backend. */
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
      // Without checks, nothing else would mark a backend up that earlier checks marked down.
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

  /** @param before the watch that this one continues; it has been told to stop */
  #watch(backend: Backend, probeFor: ProbeFactory, before?: Watch, asksTheSame = false): void {
    const watch: Watch = {
      backend,
      probe: probeFor(backend, this.#config, this.#clients),
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

  /** After it is told to stop, it does not touch the backend: another backend may have its slot by then. */
  async #run(watch: Watch, before: Promise<void> | undefined): Promise<void> {
    const stopped = watch.stopping.signal;
    const delayMs = this.#gate.firstDelayMs(this.#clock.now());
    try {
      if (before !== undefined) await before; // a backend has only one check at a time
      if (delayMs > 0 && !stopped.aborted) await this.#pause(watch, delayMs);
      while (!stopped.aborted && await this.#gate.enter(stopped)) {
        const startedAtMs = this.#clock.now();
        watch.checkedAtMs = startedAtMs;
        await this.#check(watch).finally(() => this.#gate.leave());
        if (stopped.aborted) return; // a listener of the pool may have stopped it because of this check
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
      this.#log.warn("check could not be made", {
        backend: backend.url,
        pool: this.#pool.name,
        error: observation.error,
      });
      return;
    }
    this.#record(backend, observation);
    this.#conclude(watch, wasUp, observation);
  }

  #record(backend: Backend, observation: Observation): void {
    const { ok, status, durationMs, error } = observation;
    backend.checks[ok ? "passed" : "failed"]++;
    backend.lastCheck = { at: new Date(this.#clock.now()).toISOString(), ok, status, durationMs, error };
    this.#log.debug("check", { backend: backend.url, pool: this.#pool.name, ok, status, durationMs, error });
  }

  /** Tells the pool the result of a check. */
  #conclude(watch: Watch, wasUp: boolean, observation: Observation): void {
    const { ok, error } = observation;
    const { backend } = watch;
    const { up } = backend;
    // If a failed connection has changed the state, the count belongs to the old state and starts again.
    if (watch.state.up !== up) watch.state = freshState(up);
    // A connection failed after this check began, so the failure is newer. Only a check that begins now may mark the
    // backend up again. Only this loop marks a backend up, so `wasUp` can't hide two changes.
    if (ok && wasUp && !up) return;
    watch.state = observe(watch.state, ok, this.#config);
    if (watch.state.up === up) return;
    // The backend is up again, so its count of failed connections starts again at 0.
    if (!up) backend.clearConnectFailures();
    else this.#advise(backend, observation);
    this.#pool.setUp(backend, !up, up ? `check failed: ${error}` : "check passed");
  }

  /** A check may fail only because of a setting. The log then says which one to change. */
  #advise(backend: Backend, observation: Observation): void {
    const advice = adviceOn(observation, this.#config);
    if (advice === undefined) return;
    this.#log.warn("check failed", { backend: backend.url, pool: this.#pool.name, error: observation.error, advice });
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
   * While a request waits for a backend to come back, backends that are down are checked every `QUICK_MS`. So are
   * backends that count as up, because they may be down without anybody knowing it yet.
   */
  readonly #lookForHeld = (): void => {
    this.#cancelHoldLook = this.#clock.after(HOLD_LOOK_MS, this.#lookForHeld);
    if (this.#pool.shared.line.holding() === 0) return;
    for (const watch of this.#watched.values()) this.#hasten(watch, () => this.#heldPauseMs(watch));
  };

  #heldPauseMs({ checkedAtMs }: Watch): number {
    return Math.min(Math.max(QUICK_MS - (this.#clock.now() - checkedAtMs), 0), QUICK_MS);
  }

  /** Makes the next check earlier, unless a check is in flight. */
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
    // At most the interval: if the system clock was set back, `elapsedMs` may be negative.
    const pauseMs = Math.min(Math.max(spacingMs - elapsedMs, 0), spacingMs);
    if (watch.backend.up) return pauseMs;
    this.#noteDown(watch); // if it was ejected too, no event has said that it is down
    const quickMs = Math.min(watch.pace.takeQuick(spacingMs), pauseMs);
    return this.#pool.shared.line.holding() > 0 ? Math.min(quickMs, this.#heldPauseMs(watch)) : quickMs;
  }
}

/** What checks ask of a backend. If this changes, earlier results do not count any more. */
function question({ type, path, method, status, body, headers, port, tls, timeoutMs }: HealthConfig): string {
  return JSON.stringify([type, path, method, status, body, headers, port, tls, timeoutMs]);
}

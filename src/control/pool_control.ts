/** One pool in the control plane: who is in it, who of them is up, and the sessions of its clients by address. */

import { explain, type Explanation, type SupposedRequest } from "../balancing/explain.ts";
import { stickiness } from "../balancing/sticky.ts";
import type { BackendChange } from "../config/backend_change.ts";
import { type PoolSettings, startsUp } from "../config/pool_settings.ts";
import type { CheckGate } from "../health/check_gate.ts";
import { FailOpen } from "../health/fail_open.ts";
import { HealthMonitor } from "../health/monitor.ts";
import { PassiveHealth } from "../health/passive.ts";
import type { Log } from "../log.ts";
import type { PoolMemory } from "../memory/memory.ts";
import { SessionTable } from "../memory/session_table.ts";
import type { Clock } from "../net/clock.ts";
import type { ChangeQueue, Difference, Lists, WantedBackends } from "../pool/change_queue.ts";
import { Membership } from "../pool/membership.ts";
import { type PoolEvent, ServerPool } from "../pool/server_pool.ts";

/** What a `PoolControl` works with. */
export interface PoolControlOptions {
  readonly name: string;
  readonly memory: PoolMemory;
  readonly config: PoolSettings;
  readonly log: Log;
  readonly clock: Clock;
  /** The changes of all pools. */
  readonly changes: ChangeQueue;
  /** Limits the checks of all pools. */
  readonly gate: CheckGate;
  /** Writes a change to the configuration file, where changes are to last; rejects when it can't. */
  readonly persist: (change: BackendChange) => Promise<void>;
  readonly listener: PoolListener;
}

/** Who is told what happens to a pool, before the pool's own parts act on it. */
export interface PoolListener {
  poolChanged(event: PoolEvent): void;
  /** All backends serve though all are down (`health.failOpen`), or this has ended. */
  failingOpen(active: boolean): void;
}

/** What a pool is about to go by. */
export interface PreparedPool {
  readonly config: PoolSettings;
  readonly sessions: SessionTable | undefined;
  readonly backends: WantedBackends;
}

/** Owns all that there is of one pool in the control plane, and nothing of other pools. */
export class PoolControl {
  readonly name: string;
  readonly pool: ServerPool;
  readonly membership: Membership;
  readonly passive: PassiveHealth;
  readonly #options: PoolControlOptions;
  readonly #failOpen: FailOpen;
  #config: PoolSettings;
  #sessions: SessionTable | undefined;
  /** `undefined` until the pool has its first backends. */
  #monitor: HealthMonitor | undefined;

  constructor(options: PoolControlOptions) {
    const { name, memory, config, clock, changes, persist, listener } = options;
    this.name = name;
    this.#options = options;
    this.#config = config;
    this.#sessions = sessionsFor(config, undefined);
    const pool = this.pool = new ServerPool(memory);
    pool.subscribe((event) => listener.poolChanged(event)); // first, and for as long as there is the pool
    this.membership = new Membership({ pool, changes, persist });
    this.passive = new PassiveHealth({ pool, config: config.passive, healthType: config.health.type, clock });
    this.#failOpen = new FailOpen({
      pool,
      enabled: config.health.failOpen,
      onChange: (active) => listener.failingOpen(active),
    });
  }

  /** As the configuration in force says. */
  get config(): PoolSettings {
    return this.#config;
  }

  /** By the clients' addresses; `undefined` where there are no such sessions. */
  get sessions(): SessionTable | undefined {
    return this.#sessions;
  }

  /** Takes the configured backends in and begins to check them. */
  async start(): Promise<void> {
    const { log, clock, gate } = this.#options;
    const { backends: specs, health } = this.#config;
    await this.membership.apply({ specs, up: startsUp(this.#config), reason: "configured" });
    // Afterwards, so that nobody among the first starts slowly: all of them are new alike.
    this.#monitor = new HealthMonitor({ pool: this.pool, config: health, log, clock, gate });
  }

  /** Requests can come from now on: the time that they wait for the first backend begins. */
  opened(): void {
    for (const backend of this.pool.backends) if (!backend.alive) backend.noteDownSince(Date.now());
    this.pool.shared.cells.bumpEpoch();
  }

  /**
   * Makes what a reload needs, and changes nothing yet.
   *
   * @param newAuthorities the files of authorities that hold something else than before
   */
  prepare(config: PoolSettings, newAuthorities: ReadonlySet<string>): PreparedPool {
    const { pool } = this;
    const backends = { pool, specs: config.backends, up: startsUp(config), reason: "reload", newAuthorities };
    return { config, sessions: sessionsFor(config, this), backends };
  }

  /** The first half of a reload: goes by other settings. Nothing fails, and nothing waits. */
  configure({ config, sessions }: PreparedPool): void {
    this.#config = config;
    this.#sessions = sessions;
    this.passive.configure(config.passive, config.health.type);
    this.#failOpen.configure(config.health.failOpen);
  }

  /** The second half, once all that forward have been told the settings; there has to be room. */
  replace(lists: Lists, { config, backends }: PreparedPool): Difference {
    const difference = lists.replace(backends);
    this.#monitor?.configure(config.health);
    return difference;
  }

  /** Says which backend a request would get. */
  explain(request: SupposedRequest): Explanation {
    const { strategy, sticky } = this.#config;
    return explain(this.pool, strategy, stickiness(sticky, this.pool, this.#sessions), request);
  }

  /** Ends checks and ejections. What the pool says of each backend stays. */
  async stop(): Promise<void> {
    await this.#monitor?.stop();
    this.passive.stop();
    this.#failOpen.stop();
  }
}

/** The table that there was, or a new one where sessions last for another time now; `undefined`: none is needed. */
function sessionsFor(
  { sticky }: PoolSettings,
  before: { readonly config: PoolSettings; readonly sessions: SessionTable | undefined } | undefined,
): SessionTable | undefined {
  if (sticky?.by !== "ip") return undefined;
  const kept = before?.config.sticky?.timeoutMs === sticky.timeoutMs ? before.sessions : undefined;
  return kept ?? SessionTable.allocate(sticky.timeoutMs);
}

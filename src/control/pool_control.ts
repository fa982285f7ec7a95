/** One pool in the control plane: its backends, their health, and its sessions by address. */

import { explain, type Explanation, type SupposedRequest } from "../balancing/explain.ts";
import { stickiness } from "../balancing/sticky.ts";
import type { BaseList, LaidOver } from "../cluster/overlay.ts";
import { type PoolSettings, startsUp } from "../config/pool_settings.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { CheckClients } from "../health/check_clients.ts";
import type { CheckGate } from "../health/check_gate.ts";
import { FailOpen } from "../health/fail_open.ts";
import { HealthMonitor } from "../health/monitor.ts";
import { PassiveHealth } from "../health/passive.ts";
import { passiveLimits } from "../health/passive_rule.ts";
import { tryOut } from "../health/trial.ts";
import { describeDiscover } from "../config/schema/discover.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { PoolMemory } from "../memory/memory.ts";
import { SessionTable } from "../memory/session_table.ts";
import type { Clock } from "../net/clock.ts";
import type { Backend } from "../pool/backend.ts";
import type { ChangeQueue, Difference, Lists, WantedBackends } from "../pool/change_queue.ts";
import type { Persist } from "../pool/keeping.ts";
import { Membership } from "../pool/membership.ts";
import { type PoolEvent, ServerPool } from "../pool/server_pool.ts";
import type { SharedBackends } from "../pool/shared_list.ts";
import { sourceOf } from "../sources/registry.ts";
import { Discovery, type SourceStatus } from "./discovery.ts";
import { type Limits, mustBeServable, mustNameNoSockets } from "./servable.ts";

/** What a `PoolControl` needs. */
export interface PoolControlOptions {
  readonly name: string;
  readonly memory: PoolMemory;
  readonly config: PoolSettings;
  readonly log: Log;
  readonly clock: Clock;
  /** The queue of the changes of all pools. */
  readonly changes: ChangeQueue;
  /** Limits the checks of all pools. */
  readonly gate: CheckGate;
  /** For the checks of all pools. */
  readonly clients: CheckClients;
  /** Keeps a change, if changes are kept. Rejects when it can't. */
  readonly persist: Persist;
  /** What decides which of the backends that are discovered can be used. */
  readonly limits: () => Limits;
  /** Lays what all replicas share over the pool's own list. `undefined`: there are no other replicas. */
  readonly laidOver: ((list: BaseList) => LaidOver) | undefined;
  readonly listener: PoolListener;
}

/** Told what happens to a pool, before the pool's own parts act on it. */
export interface PoolListener {
  poolChanged(event: PoolEvent): void;
  /** Backends begin to serve although all are down (`health.failOpen`), or this has ended. */
  failingOpen(active: boolean): void;
  /** The source of the pool's backends has begun to fail, or is back. */
  sourceChanged(status: SourceStatus): void;
}

/** Why the configuration is put in force. */
export interface Occasion {
  readonly reason: "configured" | "reload";
  /** Files of backends' `tls` whose content has changed. */
  readonly changedFiles: ReadonlySet<string>;
}

/** What the start or a reload has prepared for a pool. */
export interface PreparedPool {
  readonly config: PoolSettings;
  readonly sessions: SessionTable | undefined;
  readonly backends: ListedBackends;
}

/** A list from the configuration, perhaps with what the replicas share. */
type ListedBackends = WantedBackends & Partial<Omit<SharedBackends, keyof WantedBackends>>;

/** Owns all parts of one pool in the control plane, and nothing of other pools. */
export class PoolControl {
  readonly pool: ServerPool;
  readonly membership: Membership;
  readonly passive: PassiveHealth;
  readonly #options: PoolControlOptions;
  readonly #failOpen: FailOpen;
  #config: PoolSettings;
  #sessions: SessionTable | undefined;
  /** `undefined` until the pool has its first backends. */
  #monitor: HealthMonitor | undefined;
  /** Finds the backends, if the configuration does not list them. */
  #discovery: Discovery | undefined;
  /** Earlier ones that end. */
  readonly #ending = new Set<Promise<void>>();
  /** The last list of the source. */
  #found: readonly BackendSpec[] = [];
  /** Backends of other replicas that this one can't use. The log has said so. */
  readonly #unusable = new Set<string>();
  #opened = false;

  constructor(options: PoolControlOptions) {
    const { name, memory, config, clock, changes, gate, clients, persist, laidOver, listener } = options;
    this.#options = options;
    this.#config = config;
    this.#sessions = sessionsFor(config, undefined);
    const pool = this.pool = new ServerPool(memory, name);
    pool.subscribe((event) => listener.poolChanged(event)); // the first subscriber, which stays as long as the pool
    this.membership = new Membership({
      pool,
      changes,
      persist,
      shared: laidOver !== undefined,
      trial: (spec, stopped) => tryOut(spec, stopped, { config: this.#config.health, clock, gate, clients }),
    });
    this.passive = new PassiveHealth({ pool, limits: passiveLimits(config), clock });
    this.#failOpen = new FailOpen({
      pool,
      enabled: config.health.failOpen,
      onChange: (active) => listener.failingOpen(active),
    });
  }

  get name(): string {
    return this.pool.name;
  }

  /** Whether it has had its first backends. */
  get begun(): boolean {
    return this.#monitor !== undefined;
  }

  /** The settings of the pool in the configuration in force. */
  get config(): PoolSettings {
    return this.#config;
  }

  /** The list without what the replicas share. */
  get ownList(): BaseList {
    const { discover, backends } = this.#config;
    return discover === null ? { origin: "file", specs: backends } : { origin: "found", specs: this.#found };
  }

  /** The sessions by address; `undefined`: there are none. */
  get sessions(): SessionTable | undefined {
    return this.#sessions;
  }

  /** The state of its source; `undefined`: the backends come from the file and the admin API. */
  get source(): SourceStatus | undefined {
    return this.#discovery?.status;
  }

  /** Whether it is there since the start, and has had no answer of its source yet. */
  get awaitsSource(): boolean {
    return this.#discovery?.isAwaited === true;
  }

  /** Settles when the first answer of the source is in force. */
  async discovered(): Promise<void> {
    await this.#discovery?.answered;
  }

  /** Adds the first backends and begins to check them. There must be room. */
  begin(lists: Lists, { config: { health, discover }, backends }: PreparedPool): Difference {
    const { log, clock, gate, clients } = this.#options;
    const difference = this.#put(lists, backends);
    // Made after the first backends, so that these have no slow start: all of them are equally new.
    this.#monitor = new HealthMonitor({ pool: this.pool, config: health, log, clock, gate, clients });
    this.#discover(discover);
    return difference;
  }

  /** Requests can arrive from now on. The time for which they wait for the first backend begins. */
  opened(): void {
    this.#opened = true;
    for (const backend of this.pool.backends) if (!backend.alive) backend.noteDownSince(Date.now());
    this.pool.shared.cells.bumpEpoch();
  }

  /** Makes all that the start or a reload needs. Changes nothing yet. */
  prepare(config: PoolSettings, { reason, changedFiles }: Occasion): PreparedPool {
    const backends = { ...this.#listOf(config, reason), changedFiles };
    return { config, sessions: sessionsFor(config, this), backends };
  }

  /** The first half of a reload: uses other settings. Never fails and never waits. */
  configure({ config, sessions }: PreparedPool): void {
    if (JSON.stringify(config.health) !== JSON.stringify(this.#config.health)) {
      // The new backends of a deployment were not checked by these settings.
      this.membership.endDeployment("a reload has changed the checks of the pool");
    }
    this.#config = config;
    this.#sessions = sessions;
    this.passive.configure(passiveLimits(config));
    this.#failOpen.configure(config.health.failOpen);
  }

  /** The second half of a reload, after all isolates that forward were told the settings. There must be room. */
  replace(lists: Lists, { config, backends }: PreparedPool): Difference {
    const difference = this.#put(lists, backends);
    this.#discover(config.discover);
    this.membership.takeBack(config.discover === null ? backends.specs : [], backends.reason);
    this.#monitor?.configure(config.health);
    return difference;
  }

  /**
   * Puts what the replicas share in force. Must run in its turn.
   *
   * @throws {PoolFullError} when there is too little room. Nothing has changed then
   */
  async share(lists: Lists, reason: string): Promise<void> {
    if (!this.begun) return;
    if (this.#config.discover !== null) {
      return this.membership.sharedList.set(this.#laidOver(this.ownList), reason);
    }
    const backends = this.#listOf(this.#config, reason);
    await lists.makeRoom([backends]);
    this.#put(lists, backends);
  }

  /** Tells which backend a request would get. */
  explain(request: SupposedRequest): Explanation {
    const { strategy, sticky } = this.#config;
    return explain(this.pool, strategy, stickiness(sticky, this.pool, this.#sessions), request);
  }

  /** The backend that the client of a request has a session with. It may be down. */
  sessionOf({ client, headers }: SupposedRequest): Backend | undefined {
    const sessions = stickiness(this.#config.sticky, this.pool, this.#sessions);
    return sessions?.peek({ client, secure: false, header: (name) => headers[name] });
  }

  /** Removes all backends, because the pool has ended. Their requests in flight may end. */
  empty(lists: Lists, reason: string): void {
    lists.replace({ pool: this.pool, specs: [], up: true, reason });
  }

  /** Ends the source. The backends stay. */
  endDiscovery(): void {
    const ending = this.#discovery?.stop();
    if (ending === undefined) return;
    this.#discovery = undefined;
    this.#ending.add(ending);
    ending.finally(() => this.#ending.delete(ending));
  }

  /** Ends the source, checks and timers of ejections. The state of each backend stays as it is. */
  async stop(): Promise<void> {
    this.endDiscovery();
    await Promise.all([...this.#ending, this.membership.stop()]);
    await this.#monitor?.stop();
    this.passive.stop();
    this.#failOpen.stop();
  }

  /** Uses the source that the configuration names. One that runs already goes on, and so does its list. */
  #discover(discover: PoolSettings["discover"]): void {
    this.membership.setSource(discover === null ? undefined : describeDiscover(discover));
    if (discover !== null && this.#discovery?.fits(discover)) return this.#discovery.configure(discover);
    this.endDiscovery();
    if (discover === null) return;
    const { clock, log, limits, listener } = this.#options;
    this.#discovery = new Discovery({
      discover,
      source: sourceOf(discover, { clock, random: Math.random, log }),
      clock,
      mustServe(backends) {
        if (discover.kind !== "file") mustNameNoSockets(backends);
        mustBeServable(backends, limits());
      },
      follow: (backends, drainMs, stop) => this.#follow(backends, drainMs, stop),
      hasBackends: this.pool.backends.length > 0,
      isAwaited: !this.#opened,
      changed: (status) => listener.sourceChanged(status),
    });
  }

  #listOf(config: PoolSettings, reason: string): ListedBackends {
    const { pool } = this;
    const common = { pool, up: startsUp(config), reason };
    // Backends that are there serve until a source has said which there are.
    if (config.discover !== null) return { ...common, specs: pool.backends.map(({ spec }) => spec) };
    if (this.#options.laidOver === undefined) return { ...common, specs: config.backends };
    return { ...common, ...this.#laidOver({ origin: "file", specs: config.backends }) };
  }

  #laidOver(list: BaseList): LaidOver {
    const laid = this.#options.laidOver?.(list) ?? { specs: list.specs, states: new Map(), drains: new Map() };
    const own = new Set(list.specs.map(({ url }) => url));
    return { ...laid, specs: laid.specs.filter((spec) => own.has(spec.url) || this.#isServable(spec)) };
  }

  /** Whether this replica can use a backend that another one has added. */
  #isServable(spec: BackendSpec): boolean {
    const { limits, log } = this.#options;
    try {
      mustBeServable([spec], limits());
      this.#unusable.delete(spec.url);
      return true;
    } catch (error) {
      if (!this.#unusable.has(spec.url)) {
        log.warn("shared backend not used", { backend: spec.url, pool: this.name, reason: messageOf(error) });
      }
      this.#unusable.add(spec.url);
      return false;
    }
  }

  #put(lists: Lists, backends: ListedBackends): Difference {
    const { states, drains } = backends;
    if (states === undefined || drains === undefined) return lists.replace(backends);
    return this.membership.sharedList.replace(lists, { ...backends, states, drains });
  }

  #follow(backends: readonly BackendSpec[], drainMs: number, stop: AbortSignal): Promise<void> {
    const { health } = this.#config;
    this.#found = backends;
    const { specs, states } = this.#laidOver(this.ownList);
    return this.membership.follow(specs, {
      ...this.#options.laidOver === undefined ? {} : { states },
      drainMs,
      checked: health.type !== "none",
      startsUp: startsUp(this.#config),
      reason: "discovery",
      stop,
    });
  }
}

/** Returns the present table, or a new one if sessions have another timeout now; `undefined`: none is needed. */
function sessionsFor(
  { sticky }: PoolSettings,
  before: { readonly config: PoolSettings; readonly sessions: SessionTable | undefined } | undefined,
): SessionTable | undefined {
  if (sticky?.by !== "ip") return undefined;
  const kept = before?.config.sticky?.timeoutMs === sticky.timeoutMs ? before.sessions : undefined;
  return kept ?? SessionTable.allocate(sticky.timeoutMs);
}

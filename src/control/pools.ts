/** All pools in the control plane: begins, changes and ends them as the configuration says. */

import type { BaseList, LaidOver } from "../cluster/overlay.ts";
import type { PoolChange } from "../config/backend_change.ts";
import { DEFAULT_POOL_NAME, type PoolSettings, poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import { CheckClients } from "../health/check_clients.ts";
import { CheckGate } from "../health/check_gate.ts";
import type { Log } from "../log.ts";
import type { Memory } from "../memory/memory.ts";
import { DEFAULT_POOL } from "../memory/slots.ts";
import type { Clock } from "../net/clock.ts";
import type { ChangeQueue, Difference, Lists } from "../pool/change_queue.ts";
import type { ChangeOptions } from "../pool/keeping.ts";
import { PoolFullError } from "../pool/server_pool.ts";
import { ServerPools } from "../pool/server_pools.ts";
import type { ServedPools } from "../workers/served_pool.ts";
import { type Occasion, PoolControl, type PoolListener, type PreparedPool } from "./pool_control.ts";
import { Retirement } from "./retirement.ts";
import type { Limits } from "./servable.ts";

/** What `Pools` needs. */
export interface PoolsOptions {
  readonly config: Config;
  readonly memory: Memory;
  readonly log: Log;
  readonly clock: Clock;
  /** The queue of the changes of all pools. */
  readonly changes: ChangeQueue;
  /** Keeps a change of a pool, if changes are kept. Rejects when it can't. */
  readonly persist: (change: PoolChange, options: ChangeOptions) => Promise<void>;
  /** What decides which of the backends that are discovered can be used. */
  readonly limits: () => Limits;
  /** Lays what all replicas share over the list of a pool. `undefined`: there are no other replicas. */
  readonly laidOver: ((pool: string, list: BaseList) => LaidOver) | undefined;
  /** Makes the listener of a pool. */
  readonly listenerOf: (pool: string) => PoolListener;
}

/** A pool, and what the start or a reload has prepared for it. */
interface Prepared {
  readonly pool: PoolControl;
  readonly to: PreparedPool;
}

/** What the start or a reload has prepared for all pools. */
export interface PreparedPools {
  /** In the order of the configuration. */
  readonly all: readonly Prepared[];
  /** Those of `all` that begin now. */
  readonly fresh: ReadonlySet<PoolControl>;
  /** Those that the configuration no longer names. */
  readonly dropped: readonly PoolControl[];
}

/** The registry of the pools. Which ones there are changes only at a reload. */
export class Pools implements ServedPools<PoolControl> {
  readonly serverPools: ServerPools = new ServerPools();
  /** The pool that there always is. */
  readonly default: PoolControl;
  readonly #options: PoolsOptions;
  readonly #gate = new CheckGate();
  readonly #clients = new CheckClients();
  /** The pools of the configuration in force, in its order. Each reload makes a new map. */
  #byName: ReadonlyMap<string, PoolControl>;
  readonly #retirements = new Map<PoolControl, Retirement>();
  #opened = false;

  constructor(options: PoolsOptions) {
    this.#options = options;
    this.default = this.#make(DEFAULT_POOL_NAME, options.config);
    this.#byName = new Map([[DEFAULT_POOL_NAME, this.default]]);
  }

  /** The pool with this name in the configuration in force. */
  get(name: string): PoolControl | undefined {
    return this.#byName.get(name);
  }

  /** The pools of the configuration in force, in its order: `default` first. */
  all(): readonly PoolControl[] {
    return [...this.#byName.values()];
  }

  [Symbol.iterator](): Iterator<PoolControl> {
    return this.#byName.values();
  }

  /**
   * Adds the configured backends of all pools and begins to check them.
   *
   * @throws {ConfigError} when there is too little room
   */
  async start(): Promise<void> {
    const { config, changes } = this.#options;
    await changes.run(async (lists) => {
      const prepared = await this.prepare(lists, config, { reason: "configured", changedFiles: new Set() });
      this.configure(lists, prepared);
    });
  }

  /** Settles when the first answers of all sources are in force. */
  async discovered(): Promise<void> {
    await Promise.all(this.all().map((pool) => pool.discovered()));
  }

  /** Requests can arrive from now on. The time for which they wait for the first backend begins. */
  opened(): void {
    this.#opened = true;
    for (const pool of this) pool.opened();
  }

  /**
   * Makes all that the start or a reload needs, and makes sure that there is room for the backends of all pools
   * together. Nothing has changed then, also if it fails.
   *
   * @throws {ConfigError} when there is too little room
   */
  async prepare(lists: Lists, config: Config, occasion: Occasion): Promise<PreparedPools> {
    const settings = poolsOf(config);
    const made = this.#makeAll([...settings].filter(([name]) => !this.#byName.has(name)));
    try {
      const all: Prepared[] = [];
      for (const [name, to] of settings) {
        const pool = this.#byName.get(name) ?? made.get(name);
        if (pool !== undefined) all.push({ pool, to: pool.prepare(to, occasion) });
      }
      const dropped = this.all().filter(({ name }) => !settings.has(name));
      await this.#makeRoom(lists, all, dropped);
      const fresh = new Set(all.map(({ pool }) => pool).filter(({ begun }) => !begun));
      return { all, fresh, dropped };
    } catch (error) {
      for (const pool of made.values()) this.#discard(pool);
      throw error;
    }
  }

  /**
   * The whole of a start, and the first half of a reload: begins the new pools, and uses other settings in those that stay. Never fails and never
   * waits. From now on the registry has the pools of the new configuration.
   */
  configure(lists: Lists, { all, fresh }: PreparedPools): Difference[] {
    this.#byName = new Map(all.map(({ pool }) => [pool.name, pool]));
    return all.flatMap(({ pool, to }) => {
      if (!fresh.has(pool)) {
        pool.configure(to);
        return [];
      }
      this.serverPools.join(pool.pool);
      const difference = pool.begin(lists, to);
      if (this.#opened) pool.opened();
      return [difference];
    });
  }

  /**
   * The second half of a reload, after all isolates that forward were told the configuration: changes the backends of
   * the pools that stay, and begins to end those that the configuration no longer names.
   */
  replace(lists: Lists, { all, fresh, dropped }: PreparedPools): Difference[] {
    const differences = all.filter(({ pool }) => !fresh.has(pool)).map(({ pool, to }) => pool.replace(lists, to));
    for (const pool of dropped) {
      differences.push({ added: [], removed: pool.pool.backends.map(({ url }) => url), changed: [] });
      this.#retire(pool);
    }
    return differences;
  }

  /**
   * Puts what the replicas share in force, in each pool for itself. Must run in its turn.
   *
   * @throws {PoolFullError} when there is too little room in some
   */
  async share(lists: Lists, reason: string): Promise<void> {
    const failed: unknown[] = [];
    for (const pool of this) await pool.share(lists, reason).catch((error) => failed.push(error));
    if (failed.length > 0) throw failed[0];
  }

  /** Ends checks and timers of all pools. */
  async stop(): Promise<void> {
    const pools = [...this, ...this.#retirements.keys()];
    await Promise.all(Array.from(this.#retirements.values(), (retirement) => retirement.cut()));
    await Promise.all(pools.map((pool) => pool.stop()));
  }

  /** Makes pools that are empty and that nobody knows. All of them or none. */
  #makeAll(settings: readonly (readonly [string, PoolSettings])[]): ReadonlyMap<string, PoolControl> {
    const { poolRoom } = this.#options.memory;
    if (settings.length > poolRoom) {
      const why = "until the last requests of pools that have ended are over";
      throw new ConfigError([`pools: there is room for ${poolRoom} new pools, not for ${settings.length}, ${why}`]);
    }
    const made = new Map<string, PoolControl>();
    try {
      for (const [name, config] of settings) made.set(name, this.#make(name, config));
      return made;
    } catch (error) {
      for (const pool of made.values()) this.#discard(pool);
      throw error;
    }
  }

  #make(name: string, config: PoolSettings): PoolControl {
    const { memory, log, clock, changes, persist, limits, laidOver, listenerOf } = this.#options;
    return new PoolControl({
      name,
      memory: name === DEFAULT_POOL_NAME ? memory.pool(DEFAULT_POOL) : memory.takePool(),
      config,
      log,
      clock,
      changes,
      gate: this.#gate,
      clients: this.#clients,
      persist: (change, options) => persist({ kind: "backends", pool: name, change }, options),
      limits,
      laidOver: laidOver && ((list) => laidOver(name, list)),
      listener: listenerOf(name),
    });
  }

  #discard({ pool }: PoolControl): void {
    this.#options.memory.givePoolBack(pool.shared, () => true);
  }

  /** Throws an error that names the setting if there is too little room. */
  async #makeRoom(lists: Lists, all: readonly Prepared[], dropped: readonly PoolControl[]): Promise<void> {
    const leaving = [...dropped, ...this.#retirements.keys()].map(({ pool }) => pool);
    try {
      await lists.makeRoom([
        ...all.map(({ to }) => to.backends),
        ...leaving.map((pool) => ({ pool, specs: [], up: true, reason: "reload" })),
      ]);
    } catch (error) {
      if (!(error instanceof PoolFullError)) throw error;
      throw new ConfigError([`backends: ${error.message}`], { cause: error });
    }
  }

  #retire(pool: PoolControl): void {
    const { changes, memory } = this.#options;
    const retirement = new Retirement({
      pool,
      changes,
      leave: () => this.serverPools.leave(pool.pool),
    });
    this.#retirements.set(pool, retirement);
    retirement.done.then(() => {
      this.#retirements.delete(pool);
      memory.givePoolBack(pool.pool.shared, () => pool.pool.idle);
    });
  }
}

/** This replica among the others: keeps changes in the store that all share, and puts those of the others in force. */

import type { EventFeed } from "../admin/event_feed.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Store } from "../cluster/store.ts";
import { ClusterConflictError, ClusterFullError, StoreAwayError } from "../cluster/errors.ts";
import type { BaseList, LaidOver } from "../cluster/overlay.ts";
import type { ClusterStatus, HealthView } from "../cluster/views.ts";
import type { BackendChange, PoolChange } from "../config/backend_change.ts";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Limits } from "../memory/limits.ts";
import type { RateSeed } from "../memory/rate_table.ts";
import type { Clock } from "../net/clock.ts";
import type { ChangeQueue } from "../pool/change_queue.ts";
import { ChangedElsewhereError, type ChangeOptions, NotSharedError, type PresentBackend } from "../pool/keeping.ts";
import { PoolFullError } from "../pool/server_pool.ts";
import { LimitSettling } from "./limit_settling.ts";
import type { Pools } from "./pools.ts";

/** What events and logs say of a change that another replica has made. */
const REASON = "another replica";

/** How long changes of health are collected before the others are told. */
const TELL_AFTER_MS = 250;

/** When to try again to put changes in force for which there was no room. */
const RETRY_MS = 1000;

/** What a `Replicas` is started with. */
export interface ReplicasOptions {
  readonly config: Config;
  /** Where the last changes are kept. `undefined`: nowhere. */
  readonly stateDirectory: string | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

/** The parts of the control plane that are made later. */
export interface ReplicasParts {
  readonly pools: Pools;
  readonly changes: ChangeQueue;
  readonly events: EventFeed;
  /** What guards count. */
  readonly limits: Limits;
  /** `HOST:PORT` of the admin server. */
  readonly adminAddress: () => string;
}

/** Owns the connection to the store. */
export class Replicas {
  readonly #log: Log;
  readonly #clock: Clock;
  #cluster: Cluster | undefined;
  #parts: ReplicasParts | undefined;
  /** Why the store is away; `undefined`: it is not. */
  #lost: string | undefined;
  #isDue = false;
  #cancelRetry: (() => void) | undefined;
  #cancelTelling: (() => void) | undefined;
  #settling: LimitSettling | undefined;
  #stopped = false;

  /** Takes a second at most. `undefined`: this roundhouse is in no cluster. */
  static async start({ config, stateDirectory, log, clock }: ReplicasOptions): Promise<Replicas | undefined> {
    const { cluster, proxy, admin } = config;
    if (cluster === null) return undefined;
    const replicas = new Replicas(log, clock);
    const { Cluster } = await import("../cluster/cluster.ts"); // most are in no cluster
    replicas.#cluster = await Cluster.start({
      redis: cluster.redis,
      prefix: cluster.prefix,
      directory: stateDirectory,
      owner: `${proxy.host}:${proxy.port} ${admin.host}:${admin.port}`,
      admin: () => replicas.#parts?.adminAddress() ?? "",
      listOf: (pool) => replicas.#parts?.pools.get(pool)?.ownList ?? { origin: "file", specs: [] },
      availability: (up, error) => replicas.#availability(up, error ?? ""),
      log,
      clock,
    });
    replicas.#cluster.subscribe(() => replicas.#follow());
    return replicas;
  }

  private constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** The other parts are there. */
  join(parts: ReplicasParts): void {
    this.#parts = parts;
    const { limits } = parts;
    limits.shareAmong(this.#running.limits.replicas);
    this.#settling = new LimitSettling({
      limits,
      replicas: () => this.#running.limits.replicas,
      seed: () => this.seed,
      settle: (spent, keepMs) => this.#running.settle(spent, keepMs),
      clock: this.#clock,
    });
    if (this.#lost !== undefined) parts.events.storeLost(this.#lost);
  }

  /** A pool's list with the changes that the replicas share. */
  laidOver(pool: string, list: BaseList): LaidOver {
    return this.#running.laidOver(pool, list);
  }

  /**
   * Keeps a change in the store.
   *
   * @throws {ChangedElsewhereError} when another replica has changed the backend first
   * @throws {NotSharedError} when the store is away
   * @throws {PoolFullError} when the store has as many changes as it may have
   */
  async keep(change: PoolChange, { local = false }: ChangeOptions): Promise<void> {
    try {
      await this.#running.record(change);
    } catch (error) {
      if (error instanceof ClusterConflictError) throw this.#conflict(change, error);
      if (error instanceof ClusterFullError) throw new PoolFullError(error.message, { cause: error });
      if (!(error instanceof StoreAwayError)) throw error;
      if (!local) throw new NotSharedError(error.message, { cause: error });
      this.#running.recordLocally(change);
    }
  }

  /** Drops all changes that the store holds, and those of this replica alone. @throws {NotSharedError} */
  async clear(): Promise<void> {
    try {
      await this.#running.clear();
    } catch (error) {
      throw error instanceof StoreAwayError ? new NotSharedError(error.message, { cause: error }) : error;
    }
    this.#follow();
    await this.#parts?.changes.idle();
    await this.#parts?.changes.settled();
  }

  /** What the keys of limits that all replicas share are made with. */
  get seed(): RateSeed {
    const { seed } = this.#running.limits;
    return [parseInt(seed.slice(0, 8), 16) | 0, parseInt(seed.slice(8), 16) | 0];
  }

  /** The store; `undefined`: it is away. */
  get store(): Store | undefined {
    return this.#cluster?.store;
  }

  status(): ClusterStatus {
    return this.#running.status();
  }

  /** The health of a backend has changed, or the backends of a pool. The others are told soon. */
  poolChanged(): void {
    if (this.#stopped) return;
    this.#cancelTelling ??= this.#clock.after(TELL_AFTER_MS, () => {
      this.#cancelTelling = undefined;
      this.#running.report(this.#health());
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#cancelTelling?.();
    await Promise.all([this.#settling?.stop(), this.#cluster?.stop()]);
  }

  get #running(): Cluster {
    if (this.#cluster === undefined) throw new Error("the cluster has not started");
    return this.#cluster;
  }

  #availability(up: boolean, error: string): void {
    if (up && this.#lost !== undefined) this.#parts?.events.storeRecovered();
    if (!up) this.#parts?.events.storeLost(error);
    this.#lost = up ? undefined : error;
  }

  /** Puts what the replicas have changed in force, after the changes that are under way. */
  #follow(): void {
    const parts = this.#parts;
    if (parts === undefined || this.#isDue || this.#stopped) return;
    this.#isDue = true;
    parts.changes.run(async (lists) => {
      this.#isDue = false;
      await parts.pools.share(lists, REASON);
    }).catch((error) => {
      this.#log.error("changes of other replicas not made", { reason: messageOf(error) });
      this.#cancelRetry?.();
      if (!this.#stopped) this.#cancelRetry = this.#clock.after(RETRY_MS, () => this.#follow());
    });
  }

  #conflict({ pool, change }: PoolChange, { message, present }: ClusterConflictError): ChangedElsewhereError {
    this.#follow();
    const url = present?.backend ?? urlOf(change);
    return new ChangedElsewhereError(message, url === undefined ? null : this.#presentOf(pool, url));
  }

  #presentOf(pool: string, url: string): PresentBackend | null {
    const list = this.#parts?.pools.get(pool)?.ownList;
    if (list === undefined) return null;
    const { specs, states } = this.laidOver(pool, list);
    const spec = specs.find((spec) => spec.url === url);
    if (spec === undefined) return null;
    const { weight, maxConnections, backup } = spec;
    return { url, weight, maxConnections, backup, state: states.get(url) ?? "active" };
  }

  #health(): HealthView {
    return Object.fromEntries((this.#parts?.pools.all() ?? []).map(({ name, pool }) => [
      name,
      Object.fromEntries(pool.backends.map(({ url, alive }) => [url, alive ? "up" as const : "down" as const])),
    ]));
  }
}

/** The backend that a change is about; `undefined`: about a whole list. */
function urlOf(change: BackendChange): string | undefined {
  if (change.kind === "replace") return undefined;
  return change.kind === "add" ? change.spec.url : change.url;
}

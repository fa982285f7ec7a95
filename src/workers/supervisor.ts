/** The data plane in several isolates. Starts the workers, sends them every change, and replaces those that fail. */

import { untilRestart } from "../config/restart.ts";
import type { Config } from "../config/schema.ts";
import type { DataPlane, DataPlaneOptions, PlaneSharing } from "./data_plane.ts";
import { messageOf } from "../errors.ts";
import { type BoundAddress, portAddress } from "../net/listen_address.ts";
import { Listeners } from "../net/listeners.ts";
import type { PassiveHealth } from "../health/passive.ts";
import type { ServerTls } from "../tls/server_certificate.ts";
import { settlesWithin } from "../settles_within.ts";
import type { News, Order, PoolSessions, Started, StartedPool, StartOrder } from "./messages.ts";
import { offersOf, resume } from "./offers.ts";
import { PendingSwaps } from "./pending_swaps.ts";
import { claimPort } from "./port_claim.ts";
import type { ServedPool, ServedPools } from "./served_pool.ts";
import { WorkerLink } from "./worker_link.ts";
import { WorkerSockets } from "./worker_sockets.ts";

export interface SupervisorOptions extends Omit<DataPlaneOptions, "pools" | "reusePort" | "socket"> {
  readonly pools: ServedPools<SupervisedPool>;
  /** The URL of the worker's module. */
  readonly workerUrl: URL;
  /** How many workers to start. The shared memory must have one isolate more, for the control plane. */
  readonly workers: number;
  /** The descriptors of the sockets to listen at, no more than workers. None: each worker opens a socket. */
  readonly sockets: readonly number[];
}

/** A pool of the control plane. The supervisor tells its passive health about failures in workers. */
type SupervisedPool = ServedPool<Pick<PassiveHealth, "failed" | "tookOut">>;

/** If a worker fails sooner than this after its start, it is replaced only after this time. */
const RESTART_PAUSE_MS = 1000;

/** How long workers may take to say goodbye before they are ended. */
const GOODBYE_LIMIT_MS = 1000;

/** The workers, as one data plane. They are isolates 1, 2 … of the shared memory; the control plane is isolate 0. */
export class Supervisor implements DataPlane {
  readonly #options: SupervisorOptions;
  readonly #links = new Map<number, WorkerLink>();
  readonly #restarts = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #unsubscribe: () => void;
  readonly #sockets: WorkerSockets;
  /** Which workers can accept clients. */
  readonly #listeners: Listeners;
  /** The pools that the workers have, by number. */
  readonly #told = new Map<number, SupervisedPool>();
  /** Changes of pools that were not sent to the workers yet. */
  readonly #pending = new PendingSwaps(() => queueMicrotask(() => this.#tellSwaps()));
  #config: Config;
  #tls: ServerTls | undefined;
  #started: Started | undefined;
  #workerRestarts = 0;
  #stopping = false;

  /**
   * Starts all workers.
   *
   * @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options, await WorkerSockets.hold(options.sockets));
    try {
      await supervisor.#startAll();
      return supervisor;
    } catch (error) {
      supervisor.#end();
      throw error;
    }
  }

  private constructor(options: SupervisorOptions, sockets: WorkerSockets) {
    this.#options = options;
    this.#sockets = sockets;
    this.#config = options.config;
    this.#tls = options.tls;
    this.#listeners = new Listeners(options.acceptingChanged);
    this.#takeUntold();
    this.#unsubscribe = options.pools.serverPools.subscribe({
      poolChanged: (event, pool) => {
        if (this.#told.get(pool.shared.number)?.pool === pool) this.#pending.note(pool, event);
      },
      poolLeft: (pool) => {
        if (this.#told.delete(pool.shared.number)) this.#pending.noteEnd(pool);
      },
    });
  }

  get address(): BoundAddress {
    if (this.#started === undefined) throw new Error("the workers have not started"); // `start` waits for that
    return this.#started.address;
  }

  /** How many workers failed and were replaced. */
  get workerRestarts(): number {
    return this.#workerRestarts;
  }

  get setTls(): DataPlane["setTls"] {
    if (this.#started?.takesCertificates !== true) return undefined;
    return (tls) => {
      this.#tls = tls;
      this.#order({ type: "tls", tls });
    };
  }

  get sharing(): PlaneSharing | undefined {
    if (this.#started?.sharesSocket !== true) return undefined;
    return {
      offer: () => offersOf(this.#links),
      resume: () => resume(this.#links),
      release: async () => {
        this.#stopping = true; // a worker that fails now is not replaced: it would listen again
        this.#sockets.close();
        await this.#order({ type: "release" });
      },
    };
  }

  configure(config: Config): void {
    this.#config = config;
    const begun = this.#takeUntold().map(startedPool);
    const { limits: { shared: limits } } = this.#options.memory;
    this.#order({ type: "configure", config: this.#workerConfig(), begun, sessions: this.#sessions(), limits });
  }

  async settled(): Promise<void> {
    await this.#order({ type: "sync" });
  }

  async refuseRequests(): Promise<void> {
    this.#stopping = true;
    await this.#order({ type: "refuse" });
  }

  /**
   * The workers close the port at the same time. Otherwise some would refuse clients while others still receive bodies.
   */
  async stop(): Promise<void> {
    await this.refuseRequests();
    await this.#order({ type: "stop" });
    this.#end();
  }

  async sayGoodbye(): Promise<void> {
    await settlesWithin(this.#order({ type: "goodbye" }), GOODBYE_LIMIT_MS);
    this.#end();
  }

  /** Starts one worker first. The others use its port, so that any free port (0) works. */
  async #startAll(): Promise<void> {
    const { workers, config: { proxy: { host, port } } } = this.#options;
    using _claim = this.#sockets.given ? undefined : await claimPort({ hostname: host, port });
    const isolates = Array.from({ length: workers }, (_, index) => index + 1);
    for (const isolate of isolates) this.#link(isolate); // their modules load at the same time
    this.#started = await this.#start(1);
    await Promise.all(isolates.slice(1).map((isolate) => this.#start(isolate)));
  }

  #link(isolate: number): WorkerLink {
    const name = `worker ${isolate}`;
    const createdAt = performance.now();
    const link = new WorkerLink(this.#options.workerUrl, name, {
      news: (news) => this.#news(isolate, news),
      failed: (reason) => this.#failed(isolate, reason, performance.now() - createdAt),
    });
    this.#links.set(isolate, link);
    return link;
  }

  async #start(isolate: number): Promise<Started> {
    const started = await this.#links.get(isolate)?.start(this.#startOrder(isolate));
    if (started === undefined) throw new Error(`worker ${isolate} failed at its start`);
    this.#listeners.set(isolate, true);
    return started;
  }

  #startOrder(isolate: number): StartOrder {
    this.#tellSwaps(); // for the workers that run already; the new one gets the whole list
    const { memory, pools } = this.#options;
    return {
      type: "start",
      config: this.#workerConfig(),
      tls: this.#tls,
      memory: memory.sharedWith(isolate),
      pools: Array.from(pools, startedPool),
      sessions: this.#sessions(),
      limits: memory.limits.shared,
      socket: this.#sockets.for(isolate),
    };
  }

  /** Returns the pools that the workers do not have yet. From now on they are told what happens there. */
  #takeUntold(): SupervisedPool[] {
    const untold = [...this.#options.pools].filter(({ pool }) => !this.#told.has(pool.shared.number));
    for (const served of untold) this.#told.set(served.pool.shared.number, served);
    return untold;
  }

  #sessions(): PoolSessions[] {
    return Array.from(this.#options.pools, ({ pool, sessions }) => {
      return { pool: pool.shared.number, sessions: sessions?.shared };
    });
  }

  /**
   * The configuration for workers. Settings that need a restart keep their old values, so that a new worker is like the
   * others. Each worker gets its share of `proxy.maxConnections`.
   */
  #workerConfig(): Config {
    const { workers, config: started } = this.#options;
    const config = untilRestart(started, this.#config);
    // At a socket there is one isolate only, and no supervisor.
    const port = this.#started === undefined ? started.proxy.port : portAddress(this.#started.address).port;
    const maxConnections = Math.ceil(config.proxy.maxConnections / workers);
    return { ...config, proxy: { ...config.proxy, port, maxConnections } };
  }

  #order(order: Exclude<Order, StartOrder>): Promise<unknown> {
    this.#tellSwaps(); // before the order, because workers carry out changes in the order in which they were made
    const following = Array.from(this.#links.values()).filter((link) => link.following);
    return Promise.all(following.map((link) => link.order(order)));
  }

  #tellSwaps(): void {
    const taken = this.#pending.take();
    if (taken === undefined) return;
    const { swaps, ended, release } = taken;
    this.#order({ type: "swap", swaps, ended }).then(release);
  }

  #news(isolate: number, news: News): void {
    const { log } = this.#options;
    if (news.type === "accepting") return this.#listeners.set(isolate, news.accepting);
    if (news.type === "log") {
      for (const { level, message, fields } of news.lines) log[level](message, fields);
      return;
    }
    const served = this.#told.get(news.pool);
    const backend = served?.pool.getBySlot(news.backend.slot, news.backend.generation);
    if (served === undefined || backend === undefined) return; // it was removed in the meantime
    if (news.type === "failure") served.passive.failed(backend, "");
    else served.passive.tookOut(backend, news.reason, news.wasAlive);
  }

  /** A worker has ended. Gives back what it held in the shared memory, before its number is used again. */
  #failed(isolate: number, reason: string, livedMs: number): void {
    const { memory, log } = this.#options;
    this.#links.delete(isolate);
    for (const { sessions } of this.#told.values()) sessions?.releaseLockOf(isolate);
    const held = memory.reclaim(isolate);
    log.error("worker failed", { worker: isolate, reason, ...held });
    this.#listeners.set(isolate, this.#links.size > 0); // the other workers, if there are any, accept its clients
    if (this.#stopping || this.#started === undefined) return;
    this.#workerRestarts++;
    const pauseMs = livedMs < RESTART_PAUSE_MS ? RESTART_PAUSE_MS : 0;
    this.#restarts.set(isolate, setTimeout(() => this.#restart(isolate), pauseMs));
  }

  async #restart(isolate: number): Promise<void> {
    const { log } = this.#options;
    this.#restarts.delete(isolate);
    if (this.#stopping) return;
    const link = this.#link(isolate);
    try {
      await this.#start(isolate);
      log.info("worker restarted", { worker: isolate });
    } catch (error) {
      if (this.#links.get(isolate) !== link) return; // it failed, which was handled already
      link.terminate();
      this.#failed(isolate, messageOf(error), 0);
    }
  }

  #end(): void {
    this.#stopping = true;
    this.#unsubscribe();
    for (const timer of this.#restarts.values()) clearTimeout(timer);
    this.#restarts.clear();
    for (const link of this.#links.values()) link.terminate();
    this.#links.clear();
    this.#sockets.close();
  }
}

function startedPool({ name, pool }: SupervisedPool): StartedPool {
  const backends = pool.backends.map(({ spec, slot }) => ({ spec, slot }));
  return { name, pool: pool.shared.number, backends };
}

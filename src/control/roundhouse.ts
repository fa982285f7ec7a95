/** The composition root: makes the parts, and starts and stops them in order. */

import { EventFeed } from "../admin/event_feed.ts";
import { TrafficHistory } from "../admin/history.ts";
import type { ReloadReport } from "../admin/reload_report.ts";
import { statusView } from "../admin/routes/status.ts";
import { type AdminOptions, type AdminServer, startAdminServer } from "../admin/server.ts";
import { type FileChange, fitsFile } from "../config/backend_change.ts";
import { formatStrategy } from "../config/fields.ts";
import type { Config } from "../config/schema.ts";
import { limitNames } from "../guards/limit_names.ts";
import type { Log } from "../log.ts";
import { Memory } from "../memory/memory.ts";
import { OTHER_ROUTES } from "../memory/route_counts.ts";
import type { SlotUse } from "../memory/slots.ts";
import { type Clock, systemClock } from "../net/clock.ts";
import { type BoundAddress, portAddress } from "../net/listen_address.ts";
import { Listeners } from "../net/listeners.ts";
import { ChangeQueue } from "../pool/change_queue.ts";
import { NotPersistedError } from "../pool/keeping.ts";
import { routeLabels } from "../routing/routes.ts";
import { settlesWithin } from "../settles_within.ts";
import type { Challenges } from "../tls/acme/challenges.ts";
import type { CertificateStore } from "../tls/store.ts";
import { type DataPlane, startDataPlane } from "../workers/data_plane.ts";
import { workerCount } from "../workers/worker_count.ts";
import { bind, urlOf } from "./bind.ts";
import { obtain, type Obtained } from "./obtain.ts";
import { PoolNews } from "./pool_news.ts";
import { Pools, type PoolsOptions } from "./pools.ts";
import { type RedirectServer, startRedirect } from "./redirect.ts";
import { Reloads } from "./reload.ts";
import type { Replicas } from "./replicas.ts";
import type { OwnAddress } from "./servable.ts";

/** How long it may take to tell open connections that they end, and to cut them. */
const GOODBYE_LIMIT_MS = 1000;

/** How long a start waits for the first answers of the sources of backends. */
const DISCOVERED_WITHIN_MS = 5000;

export interface RoundhouseOptions {
  readonly config: Config;
  readonly log: Log;
  /** As `GET /status` shows it. */
  readonly version: string;
  /** The URL of the worker's module, for more than one worker. It is in `src/workers/worker_url.ts`. */
  readonly workerUrl: URL;
  /**
   * Reads the configuration again, for a reload. Throws a `ConfigError` if it is bad. Default: there is none to read.
   */
  readonly load?: () => Config;
  /** Called with the configuration that a reload has put in force. */
  readonly reloaded?: (config: Config) => void;
  /** Called when a reload begins, with a promise of its end. It rejects when nothing has changed. */
  readonly reloading?: (reload: Promise<unknown>) => void;
  /** Writes a change to the configuration file, for `admin.persist`. Rejects when it can't. */
  readonly save?: (change: FileChange) => Promise<void>;
  /** Where the last changes of a cluster are kept. Default: nowhere. */
  readonly stateDirectory?: string | undefined;
  /** The clock for health checks, ejections and the age of certificates. Default: the real time. */
  readonly clock?: Clock;
}

/** A running load balancer. */
export class Roundhouse {
  /** The memory that all isolates share. */
  readonly memory: Memory;
  /** The pools that requests go to. */
  readonly pools: Pools;
  readonly #options: RoundhouseOptions;
  readonly #changes = new ChangeQueue(() => this.settled());
  readonly #events: EventFeed;
  readonly #history: TrafficHistory;
  /** The routes that have counts of their own, by label. */
  #routes: ReadonlyMap<string, SlotUse> = new Map();
  readonly #listeners = new Listeners();
  readonly #challenges: Challenges;
  readonly #certificates: CertificateStore;
  /** `undefined`: this roundhouse is in no cluster. */
  readonly #replicas: Replicas | undefined;
  readonly #reloads: Reloads;
  readonly #admin: Omit<AdminOptions, "config" | "timeouts">;
  #dataPlane: DataPlane | undefined;
  #redirect: RedirectServer | undefined;
  #adminServer: AdminServer | undefined;
  #stopping = false;

  /**
   * Starts both servers and the health checks.
   *
   * @throws {ConfigError} when an address can't be bound, or a certificate can't be used. Nothing is left running then
   */
  static async start(options: RoundhouseOptions): Promise<Roundhouse> {
    const { config, stateDirectory: state, log, clock = systemClock } = options;
    const roundhouse = new Roundhouse(options, await obtain({ config, state, log, clock }));
    try {
      await roundhouse.pools.start();
      await settlesWithin(roundhouse.pools.discovered(), DISCOVERED_WITHIN_MS);
      await roundhouse.#startServers(options.workerUrl);
    } catch (error) {
      await roundhouse.stop();
      throw error;
    }
    return roundhouse;
  }

  private constructor(options: RoundhouseOptions, { files, certificates, challenges, replicas }: Obtained) {
    const { config, load, reloaded = () => {}, reloading = () => {} } = options;
    this.#options = options;
    this.#challenges = challenges;
    this.#certificates = certificates;
    this.#replicas = replicas;
    const workers = workerCount(config.proxy.workers);
    // With workers, the control plane forwards no requests, but needs its own place in the memory.
    this.memory = Memory.allocate(workers === 1 ? 1 : workers + 1);
    if (replicas !== undefined) this.memory.limits.useSeed(replicas.seed);
    this.#assignRoutes(config);
    this.#events = new EventFeed({ status: () => statusView(this.#admin) });
    this.pools = new Pools(this.#poolsOptions());
    this.#history = new TrafficHistory({
      memory: this.memory,
      pools: () => this.pools.all(),
      routes: () => this.#routes,
      clock: systemClock,
    });
    this.#reloads = new Reloads({
      started: config,
      files,
      load,
      reloaded,
      certificates,
      changes: this.#changes,
      pools: this.pools,
      configureServers: (config) => this.#configureServers(config),
      persist: (change) => this.#persist(change),
      begun: reloading,
      done: (report) => {
        // The file says something that does not hold yet: nobody should have to look for that.
        options.log[report.restartNeeded.length > 0 ? "warn" : "info"]("reload", { ...report });
        this.#events.reloaded(report);
      },
    });
    this.#admin = this.#adminParts(workers);
    const adminAddress = () => this.#adminServer === undefined ? "" : this.adminUrl.slice("http://".length);
    const { limits } = this.memory;
    replicas?.join({ pools: this.pools, changes: this.#changes, events: this.#events, limits, adminAddress });
  }

  #poolsOptions(): PoolsOptions {
    const { config, log, clock = systemClock } = this.#options;
    const replicas = this.#replicas;
    return {
      config,
      memory: this.memory,
      log,
      clock,
      changes: this.#changes,
      persist: (change, options) => replicas?.keep(change, options) ?? this.#persist(change),
      laidOver: replicas && ((pool, list) => replicas.laidOver(pool, list)),
      limits: () => ({ engine: config.engine, own: this.#ownAddresses() }),
      listenerOf: (pool) => new PoolNews({ pool, log, events: this.#events, told: () => replicas?.poolChanged() }),
    };
  }

  /** Where roundhouse can be reached, as far as is known. */
  #ownAddresses(): OwnAddress[] {
    const { proxy, admin } = this.#options.config;
    const redirectFrom = proxy.tls?.redirectFrom ?? null;
    const ports = [[proxy, this.#dataPlane?.address], [admin, this.#adminServer?.address]] as const;
    const portOf = (bound: BoundAddress | undefined) => bound === undefined || "path" in bound ? undefined : bound.port;
    return [
      ...ports.map(([{ host, port }, bound]) => ({ host, port: portOf(bound) ?? port })),
      ...redirectFrom === null ? [] : [{ host: proxy.host, port: this.#redirect?.address.port ?? redirectFrom }],
    ];
  }

  #adminParts(workers: number): Omit<AdminOptions, "config" | "timeouts"> {
    const { version, log, config: { engine } } = this.#options;
    const { default: defaultPool } = this.pools;
    return {
      pool: defaultPool.pool,
      pools: this.pools,
      memory: this.memory,
      version,
      startedAt: new Date(),
      facts: () => ({ strategy: formatStrategy(defaultPool.config.strategy), engine, workers }),
      isStopping: () => this.#stopping,
      allAccepting: () => this.#listeners.accepting,
      acceptingChanged: (accepting) => this.#listeners.set("admin", accepting),
      workerRestarts: () => this.workerRestarts,
      log,
      events: this.#events,
      history: this.#history,
      cluster: this.#replicas,
      certificates: (most) => this.#certificates.states(most),
      configInForce: () => this.#reloads.config,
      reload: () => this.reload(),
      moveSplit: async (change) => {
        const moved = await this.#reloads.moveSplit(change);
        this.#events.splitMoved({ route: change.route, entry: change.entry, ...moved });
        return moved;
      },
    };
  }

  /** Keeps a change in the file, with `admin.persist`. */
  async #persist(change: FileChange): Promise<void> {
    if (!this.#reloads.config.admin.persist || !fitsFile(change)) return;
    await this.#options.save?.(change).catch((error: unknown) => {
      throw new NotPersistedError(error);
    });
  }

  async #startServers(workerUrl: URL): Promise<void> {
    const { config, log } = this.#options;
    const dataPlane = await bind("proxy", config.proxy, async () => {
      const workers = workerCount(config.proxy.workers);
      const options = {
        config,
        memory: this.memory,
        pools: this.pools,
        log,
        tls: this.#certificates.current,
        acceptingChanged: (accepting: boolean) => this.#listeners.set("proxy", accepting),
      };
      return workers === 1
        ? await startDataPlane({ ...options, reusePort: false })
        : await (await import("../workers/supervisor.ts")).Supervisor.start({ ...options, workers, workerUrl });
    });
    this.#dataPlane = dataPlane;
    this.#certificates.watch(dataPlane.setTls, this.#events.certificates);
    const { host, tls } = config.proxy;
    const port = tls?.redirectFrom ?? null;
    if (port !== null) {
      const acceptingChanged = (accepting: boolean) => this.#listeners.set("redirect", accepting);
      const { port: httpsPort } = portAddress(dataPlane.address); // beside a unix socket, this setting is refused
      const challenges = this.#challenges;
      const options = { config, host, port, httpsPort, challenges, log, acceptingChanged };
      this.#redirect = await bind("proxy", options, () => startRedirect(options), "proxy.tls.redirectFrom");
    }
    this.#adminServer = await bind("admin", config.admin, () => {
      return startAdminServer({ ...this.#admin, config: config.admin, timeouts: config.timeouts });
    });
    this.pools.opened();
    this.#history.start();
  }

  /** Decides where the requests of each route are counted, and what guards count. */
  #assignRoutes(config: Config): void {
    const { routes } = config;
    const labels = routeLabels(routes);
    const entries = Object.values(routes ?? {}).flat();
    this.memory.limits.assign(limitNames(config, entries.map((entry, index) => [labels[index] ?? "", entry])));
    this.memory.routes.assign(labels);
    const places = this.memory.routes.find(labels);
    this.#routes = new Map(
      labels.flatMap((label, index) => {
        const place = places[index];
        return place === undefined || place === OTHER_ROUTES ? [] : [[label, place]];
      }),
    );
  }

  #configureServers(config: Config): void {
    this.#assignRoutes(config); // before any isolate looks for them
    this.#dataPlane?.configure(config);
    this.#redirect?.configure(config);
    this.#adminServer?.configure(config);
  }

  /**
   * Reads the configuration again and puts it in force.
   *
   * @throws {ConfigError} when that is not possible. Nothing has changed then
   */
  async reload(): Promise<ReloadReport> {
    return await this.#reloads.run();
  }

  /**
   * Reloads if `isDue` returns true. It is called when all earlier changes, and their writes to the file, have ended.
   */
  async reloadIf(isDue: () => boolean): Promise<ReloadReport | undefined> {
    return await this.#reloads.runIf(isDue);
  }

  /** The address of the proxy, for the log: `http://0.0.0.0:8080`. */
  get proxyUrl(): string {
    return urlOf(this.#dataPlane?.address, this.#certificates.current === undefined ? "http" : "https");
  }

  /** The address that plain HTTP is redirected from; `undefined`: it is not redirected. */
  get redirectUrl(): string | undefined {
    return this.#redirect && urlOf(this.#redirect.address);
  }

  /**
   * Settles when all isolates that forward requests use all earlier changes, and their earlier log lines were written.
   */
  async settled(): Promise<void> {
    await this.#dataPlane?.settled();
  }

  /** How many workers failed and were replaced. */
  get workerRestarts(): number {
    return this.#dataPlane?.workerRestarts ?? 0;
  }

  get adminUrl(): string {
    return urlOf(this.#adminServer?.address);
  }

  /**
   * Stops gracefully. Requests in flight get up to `timeouts.shutdown`. Returns whether all of them ended. If not, the
   * end of the process cuts the rest. The admin server is stopped last.
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    const drained = await settlesWithin(this.#drain(), this.#reloads.config.timeouts.shutdownMs);
    if (!drained) {
      const { active } = this.memory.requestTotals(); // before they are cut
      await settlesWithin(Promise.resolve(this.#dataPlane?.sayGoodbye()), GOODBYE_LIMIT_MS);
      this.#options.log.warn("requests cut", { active, reason: "timeouts.shutdown has passed" });
    }
    await this.#certificates.stop(); // an order tells the other replicas that it ends
    await this.#replicas?.stop();
    await this.#changes.idle(); // a reload may be about to change the pools
    await this.pools.stop();
    this.#history.stop();
    this.#events.close();
    await this.#adminServer?.stop();
    return drained;
  }

  async #drain(): Promise<void> {
    await Promise.all([this.#dataPlane?.stop(), this.#redirect?.stop()]);
  }
}

/** The composition root: makes the parts, and starts and stops them in order. */

import { EventFeed } from "../admin/event_feed.ts";
import { TrafficHistory } from "../admin/history.ts";
import type { ReloadReport } from "../admin/reload_report.ts";
import { statusView } from "../admin/routes/status.ts";
import { type AdminOptions, type AdminServer, startAdminServer } from "../admin/server.ts";
import { type FileChange, fitsFile } from "../config/backend_change.ts";
import { formatStrategy } from "../config/fields.ts";
import type { Config } from "../config/schema.ts";
import { Memory } from "../memory/memory.ts";
import type { SlotUse } from "../memory/slots.ts";
import { systemClock } from "../net/clock.ts";
import { type BoundAddress, portAddress } from "../net/listen_address.ts";
import { Listeners } from "../net/listeners.ts";
import { ChangeQueue } from "../pool/change_queue.ts";
import { NotPersistedError } from "../pool/keeping.ts";
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
import { assignRoutes } from "./route_places.ts";
import type { RoundhouseOptions } from "./roundhouse_options.ts";
import type { OwnAddress } from "./servable.ts";
import { fittingSockets, NO_SOCKETS, SharedPorts, type SocketToHand, whyNotShared } from "./shared_ports.ts";
import { nextTurn } from "../net/next_turn.ts";

/** How long it may take to tell open connections that they end, and to cut them. */
const GOODBYE_LIMIT_MS = 1000;

/** How long connections of clients may stay idle after a hand-over, until they are closed. */
const LEAVE_MS = 5000;

/** How long a start waits for the first answers of the sources of backends. */
const DISCOVERED_WITHIN_MS = 5000;

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
  readonly #ports: SharedPorts;
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
    const sockets = await fittingSockets(config, options.sockets ?? NO_SOCKETS, log);
    const roundhouse = new Roundhouse({ ...options, sockets }, await obtain({ config, state, log, clock }));
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
    this.#ports = new SharedPorts(config, options.sockets ?? NO_SOCKETS);
    this.#certificates = certificates;
    this.#replicas = replicas;
    const workers = workerCount(config.proxy.workers);
    // With workers, the control plane forwards no requests, but needs its own place in the memory.
    this.memory = Memory.allocate(workers === 1 ? 1 : workers + 1);
    if (replicas !== undefined) this.memory.limits.useSeed(replicas.seed);
    this.#routes = assignRoutes(this.memory, config);
    this.#events = new EventFeed({ status: () => statusView(this.#admin) });
    this.pools = new Pools(this.#poolsOptions());
    certificates.follow(() => this.pools.all().flatMap(({ pool }) => pool.backends));
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
    const { config, log, sockets: { proxy: sockets } = NO_SOCKETS } = this.#options;
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
        ? await startDataPlane({ ...options, reusePort: false, socket: sockets[0] })
        : await (await import("../workers/supervisor.ts")).Supervisor.start({
          ...options,
          workers,
          workerUrl,
          sockets,
        });
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
      this.#redirect = await bind("proxy", options, async () => {
        return startRedirect({ ...options, shared: await this.#ports.open("redirect", options) });
      }, "proxy.tls.redirectFrom");
    }
    this.#adminServer = await bind("admin", config.admin, async () => {
      const shared = await this.#ports.open("admin", config.admin);
      return startAdminServer({ ...this.#admin, config: config.admin, timeouts: config.timeouts, shared });
    });
    this.pools.opened();
    this.#history.start();
  }

  #configureServers(config: Config): void {
    this.#routes = assignRoutes(this.memory, config); // before any isolate looks for them
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
   * Descriptors of all sockets, for another process, which owns them. `undefined`: too few are left in this one. Clients
   * wait in the kernel's accept queue until `resume` is called.
   *
   * @throws when the engine can't share its socket
   */
  async offerSockets(): Promise<readonly SocketToHand[] | undefined> {
    const sharing = this.#dataPlane?.sharing;
    if (sharing === undefined) throw new Error(whyNotShared(this.#options.config));
    return await this.#ports.offer(sharing);
  }

  /** Accepts clients again, after `offerSockets`. */
  async resume(): Promise<void> {
    this.#ports.resume();
    await this.#dataPlane?.sharing?.resume();
  }

  /**
   * Leaves all sockets to another process that accepts clients there. Clients that send a request on an open connection
   * soon get an answer still, with which the connection ends. Settles when it is time to stop.
   */
  async handOver(): Promise<void> {
    const { sharing } = this.#dataPlane ?? {};
    const released = Promise.all([sharing, this.#redirect, this.#adminServer].map((server) => server?.release()));
    const left = new Promise((resolve) => setTimeout(resolve, LEAVE_MS));
    await Promise.all([settlesWithin(released, LEAVE_MS), left]); // a worker that hangs must not keep the process
    // After a stall, a timer fires before data that has arrived. The loop takes another turn, in which requests begin.
    await nextTurn();
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

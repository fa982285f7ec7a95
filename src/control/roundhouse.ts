/** The composition root: makes the parts, starts them in order, stops them in order. */

import { EventFeed } from "../admin/event_feed.ts";
import { type StatusSource, statusView } from "../admin/routes/status.ts";
import { type AdminOptions, type AdminServer, startAdminServer } from "../admin/server.ts";
import { explain, type Explanation, type SupposedRequest } from "../balancing/explain.ts";
import { stickiness } from "../balancing/sticky.ts";
import { formatStrategy } from "../config/fields.ts";
import { isLoopback } from "../config/cross_checks.ts";
import type { BackendChange } from "../config/backend_change.ts";
import type { Config } from "../config/schema.ts";
import { type DataPlane, startDataPlane } from "../workers/data_plane.ts";
import { type Clock, systemClock } from "../net/clock.ts";
import { HealthMonitor } from "../health/monitor.ts";
import { FailOpen } from "../health/fail_open.ts";
import { PassiveHealth } from "../health/passive.ts";
import { ConfigError } from "../errors.ts";
import type { Log } from "../log.ts";
import { Listeners } from "../net/listeners.ts";
import type { RequestMetrics } from "../memory/request_metrics.ts";
import { PoolFullError, ServerPool } from "../pool/server_pool.ts";
import type { SessionTable } from "../memory/session_table.ts";
import { Memory } from "../memory/memory.ts";
import { DEFAULT_POOL } from "../memory/slots.ts";
import { restartNeeded } from "../config/restart.ts";
import { Membership, type Turn, type WantedBackends } from "../pool/membership.ts";
import type { ReloadReport } from "../admin/reload_report.ts";
import { settlesWithin } from "../settles_within.ts";
import { type Authorities, changedAuthorities, readAuthorities } from "../tls/authorities.ts";
import { checkCertificateFiles } from "../tls/check.ts";
import { CertificateStore } from "../tls/store.ts";
import { Supervisor, workerCount } from "../workers/supervisor.ts";
import { bind, urlOf } from "./bind.ts";
import { logPoolEvent } from "./pool_log.ts";
import { type RedirectServer, startRedirect } from "./redirect.ts";
import { sessionsFor } from "./sessions.ts";

/** How long what is still open has to be told that it ends, and to be cut. */
const GOODBYE_LIMIT_MS = 1000;

export interface RoundhouseOptions {
  readonly config: Config;
  readonly log: Log;
  /** As `GET /status` shows it. */
  readonly version: string;
  /** The worker's module, for more than one worker: `src/workers/worker_url.ts` knows it. */
  readonly workerUrl: URL;
  /** Reads the configuration again, for a reload; throws a `ConfigError` when it is bad. Default: there is none. */
  readonly load?: () => Config;
  /** Told the configuration that a reload has put in force. */
  readonly reloaded?: (config: Config) => void;
  /** Writes a change to the configuration file, for `admin.persist`; rejects when it can't. */
  readonly save?: (change: BackendChange) => Promise<void>;
  /** What health checks, ejections and the age of certificates go by. Default: the real time. */
  readonly clock?: Clock;
}

/** A running load balancer. */
export class Roundhouse {
  readonly pool: ServerPool;
  readonly #log: Log;
  readonly #load: (() => Config) | undefined;
  readonly #reloaded: (config: Config) => void;
  readonly #membership: Membership;
  readonly #admin: Omit<AdminOptions, "config" | "timeouts">;
  readonly #passive: PassiveHealth;
  readonly #failOpen: FailOpen;
  readonly #metrics: RequestMetrics;
  readonly #events: EventFeed;
  readonly #listeners = new Listeners();
  readonly #unsubscribe: () => void;
  /** What sockets and isolates were made by. */
  readonly #started: Config;
  readonly #clock: Clock;
  readonly #certificates: CertificateStore;
  #config: Config;
  /** What the backends' `tls.ca` files held when they were last read. */
  #authorities: Authorities;
  #sessions: SessionTable | undefined;
  /** `undefined` until the pool has its first backends. */
  #monitor: HealthMonitor | undefined;
  #dataPlane: DataPlane | undefined;
  #redirect: RedirectServer | undefined;
  #adminServer: AdminServer | undefined;
  #stopping = false;

  /**
   * Starts both servers and the health checks.
   *
   * @throws {ConfigError} when an address can't be bound or a certificate is of no use; nothing is left running then
   */
  static async start(options: RoundhouseOptions): Promise<Roundhouse> {
    const { config, log, clock = systemClock } = options;
    const { proxy, backends } = config;
    checkCertificateFiles(config, new Date(clock.now())); // so that one run tells of all of them
    const authorities = readAuthorities(backends);
    const certificates = await CertificateStore.obtain({ tls: proxy.tls, log, clock });
    const roundhouse = new Roundhouse(options, authorities, certificates);
    try {
      await roundhouse.#fillPool();
      await roundhouse.#startServers(options.workerUrl);
    } catch (error) {
      await roundhouse.stop();
      throw error;
    }
    return roundhouse;
  }

  private constructor(
    { config, log, version, load, reloaded = () => {}, save, clock = systemClock }: RoundhouseOptions,
    authorities: Authorities,
    certificates: CertificateStore,
  ) {
    this.#clock = clock;
    this.#started = config;
    this.#authorities = authorities;
    this.#certificates = certificates;
    this.#config = config;
    this.#log = log;
    this.#load = load;
    this.#reloaded = reloaded;
    const workers = workerCount(config.proxy.workers);
    // The control plane forwards nothing where workers do, and yet has a part of its own.
    const isolates = workers === 1 ? 1 : workers + 1;
    const memory = Memory.allocate(isolates);
    this.pool = new ServerPool(memory.pool(DEFAULT_POOL));
    this.#metrics = memory.metrics;
    this.#unsubscribe = this.pool.subscribe((event) => logPoolEvent(log, event));
    this.#membership = new Membership({
      pool: this.pool,
      persist: (change) => this.#config.admin.persist && save ? save(change) : Promise.resolve(),
      settled: () => this.settled(),
    });
    const { passive, health } = config;
    this.#passive = new PassiveHealth({ pool: this.pool, config: passive, healthType: health.type, clock });
    this.#sessions = sessionsFor(config, undefined);
    const status = this.#statusSource(version, workers);
    this.#events = new EventFeed({ pool: this.pool, status: () => statusView(status) });
    this.#failOpen = new FailOpen({
      pool: this.pool,
      enabled: health.failOpen,
      onChange: (failingOpen) => this.#failingOpen(failingOpen),
    });
    this.#admin = {
      ...status,
      metrics: this.#metrics,
      acceptingChanged: (accepting) => this.#listeners.set("admin", accepting),
      workerRestarts: () => this.workerRestarts,
      log,
      events: this.#events,
      membership: this.#membership,
      configInForce: () => this.#config,
      explain: (request) => this.#explain(request),
      reload: () => this.reload(),
    };
  }

  #statusSource(version: string, workers: number): StatusSource {
    const { engine } = this.#started;
    return {
      pool: this.pool,
      version,
      startedAt: new Date(),
      facts: () => ({ strategy: formatStrategy(this.#config.strategy), engine, workers }),
      isStopping: () => this.#stopping,
      allAccepting: () => this.#listeners.accepting,
    };
  }

  #failingOpen(failingOpen: boolean): void {
    if (failingOpen) this.#log.warn("fail open", { reason: "all backends are down, so all of them serve" });
    else this.#log.info("fail open ended", { reason: "a backend is up again, or no backend may serve" });
    this.#events.failingOpen(failingOpen);
  }

  async #fillPool(): Promise<void> {
    const { backends: specs, health } = this.#config;
    await this.#membership.apply({ specs, up: startsUp(this.#config), reason: "configured" });
    // Afterwards, so that nobody among the first starts slowly: all of them are new alike.
    this.#monitor = new HealthMonitor({ pool: this.pool, config: health, log: this.#log, clock: this.#clock });
  }

  async #startServers(workerUrl: URL): Promise<void> {
    const config = this.#config;
    const dataPlane = await bind("proxy", config.proxy, () => {
      const workers = workerCount(config.proxy.workers);
      const options = {
        config,
        pool: this.pool,
        metrics: this.#metrics,
        sessions: this.#sessions,
        passive: this.#passive,
        log: this.#log,
        certificate: this.#certificates.current,
        acceptingChanged: (accepting: boolean) => this.#listeners.set("proxy", accepting),
      };
      return workers === 1
        ? startDataPlane({ ...options, reusePort: false })
        : Supervisor.start({ ...options, workers, workerUrl });
    });
    this.#dataPlane = dataPlane;
    this.#certificates.watch(dataPlane.setCertificate);
    const { host, tls } = config.proxy;
    const port = tls?.redirectFrom ?? null;
    if (port !== null) {
      const acceptingChanged = (accepting: boolean) => this.#listeners.set("redirect", accepting);
      const options = { config, host, port, httpsPort: dataPlane.address.port, log: this.#log, acceptingChanged };
      this.#redirect = await bind("proxy", options, () => startRedirect(options), "proxy.tls.redirectFrom");
    }
    this.#adminServer = await bind("admin", config.admin, () => {
      return startAdminServer({ ...this.#admin, config: config.admin, timeouts: config.timeouts });
    });
    // The time that requests wait for the first backend begins when they can come.
    for (const backend of this.pool.backends) if (!backend.alive) backend.noteDownSince(Date.now());
    this.pool.shared.cells.bumpEpoch();
  }

  /**
   * Reads the configuration again and goes by it. No request in flight is dropped; what takes a restart is named.
   *
   * @throws {ConfigError} when it is bad, asks for more than there is room for or can't be read again; nothing has
   * changed then
   */
  async reload(): Promise<ReloadReport> {
    return await this.#told(await this.#membership.inTurn((turn) => this.#reload(turn)));
  }

  /** Reloads if `isDue` says so when its turn has come: all earlier changes, and what they wrote, are done by then. */
  async reloadIf(isDue: () => boolean): Promise<ReloadReport | undefined> {
    const report = await this.#membership.inTurn((turn) => isDue() ? this.#reload(turn) : undefined);
    return report && await this.#told(report);
  }

  async #told(report: ReloadReport): Promise<ReloadReport> {
    await this.settled();
    this.#log.info("reload", { ...report });
    this.#events.reloaded(report);
    return report;
  }

  async #reload(turn: Turn): Promise<ReloadReport> {
    if (this.#load === undefined) throw new ConfigError(["config: there is no configuration to read again"]);
    const before = this.#config;
    const config = this.#load();
    // The file may name a loopback address by now, but the server still listens where it did.
    if (config.admin.token === null && !isLoopback(this.#started.admin.host)) {
      throw new ConfigError([
        `admin.token: got null, want a token while the admin server listens on ${this.#started.admin.host}`,
      ]);
    }
    checkCertificateFiles(config, new Date(this.#clock.now()));
    const authorities = readAuthorities(config.backends);
    const newAuthorities = changedAuthorities(this.#authorities, authorities);
    const wanted = { specs: config.backends, up: startsUp(config), reason: "reload", newAuthorities };
    const useCertificate = await this.#certificates.prepare(config.proxy.tls);
    const sessions = sessionsFor(config, { before, table: this.#sessions });
    await makeRoom(turn, wanted);
    // All or nothing: from here on nothing fails, and nothing waits.
    this.#authorities = authorities;
    this.#config = config;
    this.#sessions = sessions;
    this.#dataPlane?.configure(config, this.#sessions);
    this.#redirect?.configure(config);
    this.#adminServer?.configure(config);
    this.#passive.configure(config.passive, config.health.type);
    this.#failOpen.configure(config.health.failOpen);
    this.#reloaded(config);
    const difference = turn.replace(wanted);
    this.#monitor?.configure(config.health);
    return { ...difference, restartNeeded: restartNeeded(this.#started, config, useCertificate()) };
  }

  #explain(request: SupposedRequest): Explanation {
    const { strategy, sticky } = this.#config;
    return explain(this.pool, strategy, stickiness(sticky, this.pool, this.#sessions), request);
  }

  /** Where the proxy listens, for a log line: `http://0.0.0.0:8080`. */
  get proxyUrl(): string {
    return urlOf(this.#dataPlane?.address, this.#certificates.current === undefined ? "http" : "https");
  }

  /** Where plain HTTP is redirected from; `undefined` where it is not. */
  get redirectUrl(): string | undefined {
    return this.#redirect && urlOf(this.#redirect.address);
  }

  /** Settles when all that forward go by what was changed before, and what they had logged by then is written. */
  async settled(): Promise<void> {
    await this.#dataPlane?.settled();
  }

  /** Workers that failed and were replaced. */
  get workerRestarts(): number {
    return this.#dataPlane?.workerRestarts ?? 0;
  }

  get adminUrl(): string {
    return urlOf(this.#adminServer?.address);
  }

  /**
   * Stops gracefully: requests in flight get up to `timeouts.shutdown`. Returns whether all of them ended; where some
   * did not, the end of the process cuts them. The admin server answers until last.
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    const drained = await settlesWithin(this.#drain(), this.#config.timeouts.shutdownMs);
    if (!drained) {
      const { active } = this.pool.shared.memory.requestTotals(); // before they end
      await settlesWithin(Promise.resolve(this.#dataPlane?.sayGoodbye()), GOODBYE_LIMIT_MS);
      this.#log.warn("requests cut", { active, reason: "timeouts.shutdown has passed" });
    }
    await this.#membership.idle(); // a reload may be about to change the pool
    await Promise.all([this.#monitor?.stop(), this.#certificates.stop()]);
    this.#passive.stop();
    this.#failOpen.stop();
    this.#events.close();
    await this.#adminServer?.stop();
    this.#unsubscribe();
    return drained;
  }

  async #drain(): Promise<void> {
    await Promise.all([this.#dataPlane?.stop(), this.#redirect?.stop()]);
  }
}

/** Without checks nobody would ever mark a backend up. */
function startsUp({ health }: Config): boolean {
  return health.startUp || health.type === "none";
}

/** Names the setting when there is no room for all that a reload asks for. */
async function makeRoom(turn: Turn, wanted: WantedBackends): Promise<void> {
  try {
    await turn.makeRoom(wanted);
  } catch (error) {
    if (!(error instanceof PoolFullError)) throw error;
    throw new ConfigError([`backends: ${error.message}`], { cause: error });
  }
}

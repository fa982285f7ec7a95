/** The composition root: makes the parts, starts them in order, stops them in order. */

import { startAdminServer } from "./admin/server.ts";
import { explain } from "./balancing/explain.ts";
import { strategyName } from "./balancing/registry.ts";
import { stickiness } from "./balancing/sticky.ts";
import type { Config } from "./config/schema.ts";
import { startDataPlane } from "./data_plane.ts";
import type { Engine } from "./engines/engine.ts";
import { HealthMonitor } from "./health/monitor.ts";
import { PassiveHealth } from "./health/passive.ts";
import { ConfigError, messageOf } from "./errors.ts";
import type { Log } from "./log.ts";
import { type PoolEvent, ServerPool } from "./pool/server_pool.ts";
import { SessionTable } from "./pool/session_table.ts";
import { SharedState } from "./pool/shared_state.ts";

export interface RoundhouseOptions {
  readonly config: Config;
  readonly log: Log;
  /** As `GET /status` shows it. */
  readonly version: string;
}

type AdminServer = ReturnType<typeof startAdminServer>;

/** A running load balancer. */
export class Roundhouse {
  readonly pool: ServerPool;
  readonly #config: Config;
  readonly #log: Log;
  readonly #monitor: HealthMonitor;
  readonly #passive: PassiveHealth;
  readonly #version: string;
  #engine: Engine | undefined;
  #admin: AdminServer | undefined;
  readonly #unsubscribe: () => void;
  #stopping = false;

  /**
   * Starts both servers and the health checks.
   *
   * @throws {ConfigError} when an address can't be bound; nothing is left running then
   */
  static async start(options: RoundhouseOptions): Promise<Roundhouse> {
    const roundhouse = new Roundhouse(options);
    try {
      roundhouse.#startServers();
    } catch (error) {
      await roundhouse.stop();
      throw error;
    }
    return roundhouse;
  }

  private constructor({ config, log, version }: RoundhouseOptions) {
    this.#config = config;
    this.#log = log;
    this.#version = version;
    this.pool = new ServerPool(SharedState.allocate());
    this.#unsubscribe = this.pool.subscribe((event) => logPoolEvent(log, event));
    this.#monitor = new HealthMonitor({ pool: this.pool, config: config.health, log });
    this.#passive = new PassiveHealth({ pool: this.pool, config: config.passive, healthType: config.health.type });
    // Without checks nobody would ever mark a backend up.
    const up = config.health.startUp || config.health.type === "none";
    for (const spec of config.backends) this.pool.add(spec, "configured", up);
  }

  #startServers(): void {
    const config = this.#config;
    const { pool } = this;
    const sessions = config.sticky?.by === "ip" ? SessionTable.allocate(config.sticky.timeoutMs) : undefined;
    const sticky = stickiness(config.sticky, pool, sessions);
    this.#engine = bind("proxy", config.proxy, () => {
      return startDataPlane({ config, pool, sessions, passive: this.#passive, log: this.#log });
    });
    this.#admin = bind("admin", config.admin, () =>
      startAdminServer({
        config: config.admin,
        pool,
        log: this.#log,
        version: this.#version,
        startedAt: new Date(),
        facts: { strategy: strategyName(config.strategy), engine: config.engine, workers: 1 },
        isStopping: () => this.#stopping,
        explain: (request) => explain(pool, config.strategy, sticky, request),
      }));
  }

  /** Where the proxy listens, for a log line: `http://0.0.0.0:8080`. */
  get proxyUrl(): string {
    return urlOf(this.#engine?.address);
  }

  get adminUrl(): string {
    return urlOf(this.#admin?.address);
  }

  /**
   * Stops gracefully: requests in flight get up to `timeouts.shutdown`. Returns whether all of them ended; where some
   * did not, the end of the process cuts them. The admin server answers until last.
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, this.#config.timeouts.shutdownMs, false);
    });
    const drained = await Promise.race([this.#drain(), limit]);
    clearTimeout(timer);
    if (!drained) {
      this.#engine?.sayGoodbye();
      const { active } = this.pool.shared.requestTotals();
      this.#log.warn("requests cut", { active, reason: "timeouts.shutdown has passed" });
    }
    await this.#monitor.stop();
    this.#passive.stop();
    await this.#admin?.stop();
    this.#unsubscribe();
    return drained;
  }

  async #drain(): Promise<true> {
    await this.#engine?.stop();
    return true;
  }
}

/** Names the setting when an address can't be bound. */
function bind<Server>(
  section: "proxy" | "admin",
  at: { readonly host: string; readonly port: number },
  start: () => Server,
) {
  try {
    return start();
  } catch (error) {
    const inUse = error instanceof Deno.errors.AddrInUse;
    const place = inUse || error instanceof Deno.errors.PermissionDenied ? `${section}.port` : `${section}.host`;
    const why = inUse ? "another process listens there" : messageOf(error);
    throw new ConfigError([`${place}: can't listen on ${at.host}:${at.port}: ${why}`], { cause: error });
  }
}

function urlOf(address: Deno.NetAddr | undefined): string {
  if (address === undefined) throw new Error("the server is not running");
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  return `http://${host}:${address.port}`;
}

/** The log's words for what happened to a backend (contract 8). */
const EVENT_MESSAGES = {
  added: "backend added",
  removed: "backend removed",
  up: "backend up",
  down: "backend down",
  changed: "backend changed",
  active: "backend enabled",
  draining: "backend draining",
  disabled: "backend disabled",
} as const satisfies Record<PoolEvent["type"], string>;

function logPoolEvent(log: Log, { type, backend, reason }: PoolEvent): void {
  log.info(EVENT_MESSAGES[type], { backend: backend.url, reason });
}

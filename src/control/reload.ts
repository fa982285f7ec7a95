/** Reading the configuration again while the program runs: all of it is put in force, in all pools, or nothing. */

import type { ReloadReport } from "../admin/reload_report.ts";
import { isLoopback } from "../config/cross_checks.ts";
import { restartNeeded } from "../config/restart.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import type { ChangeQueue, Lists } from "../pool/change_queue.ts";
import { PoolFullError } from "../pool/server_pool.ts";
import { type Authorities, changedAuthorities, readAuthorities } from "../tls/authorities.ts";
import { checkCertificateFiles } from "../tls/check.ts";
import type { CertificateStore } from "../tls/store.ts";
import type { PoolControl, PreparedPool } from "./pool_control.ts";

/** What a `Reloads` works with. */
export interface ReloadsOptions {
  /** What sockets and isolates were made by. */
  readonly started: Config;
  /** What the backends' `tls.ca` files held at the start. */
  readonly authorities: Authorities;
  /** Reads the configuration again; throws a `ConfigError` when it is bad. `undefined`: there is none. */
  readonly load: (() => Config) | undefined;
  /** Told the configuration that has been put in force. */
  readonly reloaded: (config: Config) => void;
  readonly clock: Clock;
  readonly certificates: CertificateStore;
  readonly changes: ChangeQueue;
  readonly pools: readonly PoolControl[];
  /** Has all servers go by another configuration from the next request on. Must not fail. */
  readonly configureServers: (config: Config) => void;
  /** Told what came of a reload when all that forward go by it. */
  readonly done: (report: ReloadReport) => void;
}

/** Knows the configuration in force, and changes it. */
export class Reloads {
  readonly #options: ReloadsOptions;
  #config: Config;
  #authorities: Authorities;

  constructor(options: ReloadsOptions) {
    this.#options = options;
    this.#config = options.started;
    this.#authorities = options.authorities;
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#config;
  }

  /**
   * Reads the configuration again and goes by it. No request in flight is dropped; what takes a restart is named.
   *
   * @throws {ConfigError} when it is bad, asks for more than there is room for or can't be read again; nothing has
   * changed then
   */
  async run(): Promise<ReloadReport> {
    return await this.#told(await this.#options.changes.run((lists) => this.#reload(lists)));
  }

  /** Reloads if `isDue` says so when all earlier changes, and what they wrote, are done. */
  async runIf(isDue: () => boolean): Promise<ReloadReport | undefined> {
    const report = await this.#options.changes.run((lists) => isDue() ? this.#reload(lists) : undefined);
    return report && await this.#told(report);
  }

  async #told(report: ReloadReport): Promise<ReloadReport> {
    await this.#options.changes.settled();
    this.#options.done(report);
    return report;
  }

  async #reload(lists: Lists): Promise<ReloadReport> {
    const { started, certificates, pools, configureServers, reloaded } = this.#options;
    const config = this.#read();
    const authorities = readAuthorities(config.backends);
    const newAuthorities = changedAuthorities(this.#authorities, authorities);
    const useCertificate = await certificates.prepare(config.proxy.tls);
    const prepared = pools.map((pool) => ({ pool, to: pool.prepare(config, newAuthorities) }));
    await makeRoom(lists, prepared.map(({ to }) => to));
    // All or nothing: from here on nothing fails, and nothing waits.
    this.#authorities = authorities;
    this.#config = config;
    for (const { pool, to } of prepared) pool.configure(to);
    configureServers(config);
    reloaded(config);
    const differences = prepared.map(({ pool, to }) => pool.replace(lists, to));
    return {
      added: differences.flatMap(({ added }) => added),
      removed: differences.flatMap(({ removed }) => removed),
      changed: differences.flatMap(({ changed }) => changed),
      restartNeeded: restartNeeded(started, config, useCertificate()),
    };
  }

  #read(): Config {
    const { load, started, clock } = this.#options;
    if (load === undefined) throw new ConfigError(["config: there is no configuration to read again"]);
    const config = load();
    // The file may name a loopback address by now, but the server still listens where it did.
    if (config.admin.token === null && !isLoopback(started.admin.host)) {
      throw new ConfigError([
        `admin.token: got null, want a token while the admin server listens on ${started.admin.host}`,
      ]);
    }
    checkCertificateFiles(config, new Date(clock.now()));
    return config;
  }
}

/** Names the setting when there is no room for all that a reload asks for. */
async function makeRoom(lists: Lists, prepared: readonly PreparedPool[]): Promise<void> {
  try {
    await lists.makeRoom(prepared.map(({ backends }) => backends));
  } catch (error) {
    if (!(error instanceof PoolFullError)) throw error;
    throw new ConfigError([`backends: ${error.message}`], { cause: error });
  }
}

/** Changes the configuration while the program runs. Puts all of it in force, in all pools, or nothing. */

import type { ReloadReport } from "../admin/reload_report.ts";
import type { MovedSplit } from "../admin/routes/routes.ts";
import type { FileChange, SplitChange } from "../config/backend_change.ts";
import { isLoopback } from "../config/cross_checks.ts";
import { poolsOf } from "../config/pool_settings.ts";
import { withMovedSplit } from "../config/routes/moved_split.ts";
import { restartNeeded } from "../config/restart.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError } from "../errors.ts";
import type { ChangeQueue, Lists } from "../pool/change_queue.ts";
import { type BackendFiles, changedFiles, readBackendFiles } from "../tls/backend_files.ts";
import type { CertificateStore } from "../tls/store.ts";
import type { Pools } from "./pools.ts";

/** What a `Reloads` needs. */
export interface ReloadsOptions {
  /** The configuration that sockets and isolates were made with. */
  readonly started: Config;
  /** The contents of the files of backends' `tls` at the start. */
  readonly files: BackendFiles;
  /** Reads the configuration again. Throws a `ConfigError` if it is bad. `undefined`: there is none to read. */
  readonly load: (() => Config) | undefined;
  /** Called with the configuration that was put in force. */
  readonly reloaded: (config: Config) => void;
  readonly certificates: CertificateStore;
  readonly changes: ChangeQueue;
  readonly pools: Pools;
  /** Makes all servers use another configuration from the next request on. Must not fail. */
  readonly configureServers: (config: Config) => void;
  /** Writes a change to the configuration file, if changes are to be kept. Rejects when it can't. */
  readonly persist: (change: FileChange) => Promise<void>;
  /** Called when a reload begins, with a promise of its end. It rejects when nothing has changed. */
  readonly begun: (reload: Promise<unknown>) => void;
  /** Called with the report of a reload, when all isolates that forward requests use the new configuration. */
  readonly done: (report: ReloadReport) => void;
}

/** Holds the configuration in force, and changes it. */
export class Reloads {
  readonly #options: ReloadsOptions;
  #config: Config;
  #files: BackendFiles;

  constructor(options: ReloadsOptions) {
    this.#options = options;
    this.#config = options.started;
    this.#files = options.files;
  }

  /** The configuration in force. */
  get config(): Config {
    return this.#config;
  }

  /**
   * Reads the configuration again and puts it in force. No request in flight is dropped. The report names settings that
   * need a restart.
   *
   * @throws {ConfigError} when the configuration is bad, has more backends than there is room for, or can't be read
   * again. Nothing has changed then
   */
  async run(): Promise<ReloadReport> {
    return await this.#told(await this.#options.changes.run((lists) => this.#reload(lists)));
  }

  /**
   * Reloads if `isDue` returns true. It is called when all earlier changes, and their writes to the file, have ended.
   */
  async runIf(isDue: () => boolean): Promise<ReloadReport | undefined> {
    const report = await this.#options.changes.run((lists) => isDue() ? this.#reload(lists) : undefined);
    return report && await this.#told(report);
  }

  /**
   * Gives a split other weights, in all isolates. A later reload gives it those of the file again. Each request goes by
   * the old weights or by the new ones.
   *
   * @throws {UnknownEntryError} when there is no such route or entry
   * @throws {SplitMismatchError} when the entry can't have these weights
   * @throws {NotPersistedError} when the file can't be written. Nothing has changed then
   */
  async moveSplit(change: Omit<SplitChange, "kind">): Promise<MovedSplit> {
    const { changes, configureServers, persist } = this.#options;
    const weightsIn = ({ routes }: Config) => routes?.[change.route]?.[change.entry]?.pool ?? {};
    const moved = await changes.run(async () => {
      const [before, after] = [this.#config, withMovedSplit(this.#config, change)];
      await persist({ kind: "split", ...change });
      this.#config = after;
      configureServers(after);
      return { before: weightsIn(before), after: weightsIn(after) };
    });
    await changes.settled();
    return moved;
  }

  async #told(report: ReloadReport): Promise<ReloadReport> {
    await this.#options.changes.settled();
    this.#options.done(report);
    return report;
  }

  #reload(lists: Lists): Promise<ReloadReport> {
    const reload = this.#putInForce(lists);
    this.#options.begun(reload);
    return reload;
  }

  async #putInForce(lists: Lists): Promise<ReloadReport> {
    const { started, certificates, pools, configureServers, reloaded } = this.#options;
    const config = this.#read();
    const files = readBackendFiles(poolsOf(config));
    const useCertificate = await certificates.prepare(config.proxy.tls);
    const prepared = await pools.prepare(lists, config, {
      reason: "reload",
      changedFiles: changedFiles(this.#files, files),
    });
    // All or nothing: from here on, nothing fails and nothing waits.
    this.#files = files;
    this.#config = config;
    const differences = pools.configure(lists, prepared);
    configureServers(config);
    reloaded(config);
    differences.push(...pools.replace(lists, prepared));
    return {
      added: differences.flatMap(({ added }) => added),
      removed: differences.flatMap(({ removed }) => removed),
      changed: differences.flatMap(({ changed }) => changed),
      restartNeeded: restartNeeded(started, config, useCertificate()),
    };
  }

  #read(): Config {
    const { load, started, certificates } = this.#options;
    if (load === undefined) throw new ConfigError(["config: there is no configuration to read again"]);
    const config = load();
    // The file may have a loopback address now, but the server still listens at the old address.
    if (config.admin.token === null && !isLoopback(started.admin.host)) {
      throw new ConfigError([
        `admin.token: got null, want a token while the admin server listens on ${started.admin.host}`,
      ]);
    }
    certificates.check(config);
    return config;
  }
}

/** What a roundhouse is started with. */

import type { FileChange } from "../config/backend_change.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import type { HandedSockets } from "./shared_ports.ts";

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
  /** The sockets to listen at. Default: it opens them. */
  readonly sockets?: HandedSockets;
  /** Where the last changes of a cluster are kept. Default: nowhere. */
  readonly stateDirectory?: string | undefined;
  /** The clock for health checks, ejections and the age of certificates. Default: the real time. */
  readonly clock?: Clock;
}

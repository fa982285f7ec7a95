/** A whole roundhouse in this process, on free ports. */

import { type ConfigFile, configSchema } from "../../src/config/schema.ts";
import { type Clock, systemClock } from "../../src/net/clock.ts";
import type { Backend } from "../../src/pool/backend.ts";
import type { ServerPool } from "../../src/pool/server_pool.ts";
import { Roundhouse } from "../../src/control/roundhouse.ts";
import { RecordingLog } from "./log.ts";
import { WORKER_URL } from "../../src/workers/worker_url.ts";
import { waitFor } from "./wait.ts";

/** The number of isolates for tests that do not name one: `.ci/run` runs them with 1 and with 2. */
export const WORKERS = Number(Deno.env.get("ROUNDHOUSE_TEST_WORKERS") ?? 1);

/** The engine for tests that do not name one: `.ci/run` runs them with both. */
export const ENGINE = configSchema.parse({ engine: Deno.env.get("ROUNDHOUSE_TEST_ENGINE") }).engine;

export interface TestProxyOptions {
  readonly clock?: Clock;
  readonly workerUrl?: URL;
  /** Where the last changes of a cluster are kept. Default: nowhere. */
  readonly stateDirectory?: string;
}

/** A running proxy. Dispose of it to stop it gracefully, which also proves that nothing is left in flight. */
export class TestProxy implements AsyncDisposable {
  readonly log: RecordingLog;
  readonly roundhouse: Roundhouse;

  private constructor(roundhouse: Roundhouse, log: RecordingLog) {
    this.roundhouse = roundhouse;
    this.log = log;
  }

  /**
   * Starts one; checks and holds are off unless the settings say otherwise. A reload goes by what `settings` holds by
   * then.
   */
  static async start(
    settings: ConfigFile,
    { clock = systemClock, workerUrl = WORKER_URL, stateDirectory }: TestProxyOptions = {},
  ): Promise<TestProxy> {
    const log = new RecordingLog();
    const load = () =>
      configSchema.parse({
        engine: ENGINE,
        ...settings,
        proxy: { host: "127.0.0.1", port: 0, workers: WORKERS, ...settings.proxy },
        admin: { port: 0, ...settings.admin },
        log: { level: "debug", ...settings.log },
        health: { type: "none", ...settings.health },
        queue: { hold: 0, ...settings.queue },
      });
    const options = { config: load(), log, version: "0.0.0-test", workerUrl, load, clock, stateDirectory };
    const roundhouse = await Roundhouse.start(options);
    return new TestProxy(roundhouse, log);
  }

  /** Where the proxy listens. */
  get url(): string {
    return this.roundhouse.proxyUrl;
  }

  /** The path of the socket that the proxy listens on. */
  get path(): string {
    return this.url.slice("unix:".length);
  }

  get adminUrl(): string {
    return this.roundhouse.adminUrl;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** The pool `default`. */
  get pool(): ServerPool {
    return this.roundhouse.pools.default.pool;
  }

  get backends(): readonly Backend[] {
    return this.pool.backends;
  }

  /** The backend with this URL; it has to be in the pool. */
  backend(url: string): Backend {
    const backend = this.pool.getByUrl(url);
    if (backend === undefined) throw new Error(`${url} is not in the pool`);
    return backend;
  }

  /** Waits until nothing is in flight: not a request, not a connection of any backend. */
  async idle(): Promise<void> {
    const busy = () => [
      this.roundhouse.memory.requestTotals().active,
      ...this.roundhouse.pools.all().flatMap(({ pool }) => pool.backends.map((backend) => backend.currentConnections)),
    ];
    await waitFor(() => busy().every((count) => count === 0), { what: "every count to return to 0" });
    await this.roundhouse.settled(); // workers' log lines take a moment longer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.roundhouse.stop();
  }
}

/** A forwarder with the pools and routes of a configuration, without sockets. */

import { poolsOf } from "../../src/config/pool_settings.ts";
import { type Config, type ConfigFile, configSchema } from "../../src/config/schema.ts";
import { Holdings } from "../../src/guards/holdings.ts";
import { limitNames } from "../../src/guards/limit_names.ts";
import { PassiveHealth } from "../../src/health/passive.ts";
import { passiveLimits } from "../../src/health/passive_rule.ts";
import { Memory } from "../../src/memory/memory.ts";
import { SessionTable } from "../../src/memory/session_table.ts";
import { RequestQueue } from "../../src/pool/queue.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { AccessLog } from "../../src/proxy/access_log.ts";
import type { OwnAnswer } from "../../src/proxy/exchange.ts";
import { ForwardedTrust } from "../../src/proxy/forwarded.ts";
import { Forwarder } from "../../src/proxy/forwarder.ts";
import { RandomHex } from "../../src/proxy/ids.ts";
import type { HeaderPair, RequestHead } from "../../src/proxy/message.ts";
import { RequestRecorder } from "../../src/proxy/record.ts";
import { forwardingRoutes, forwardingRules } from "../../src/proxy/rules.ts";
import { PoolRuntime } from "../../src/routing/pool_runtime.ts";
import { routeLabels } from "../../src/routing/routes.ts";
import { FakeExchange, OK } from "./forwarder_bench.ts";
import { RecordingLog } from "./log.ts";

/** What came of a request. */
export interface Outcome {
  /** The name of the pool; without one, the status of roundhouse's own answer. */
  readonly to: string;
  /** What the backend got; empty without one. */
  readonly target: string;
  readonly sent: readonly HeaderPair[];
  /** The answer that no backend gave. */
  readonly answer: OwnAnswer | undefined;
  /** What the client got from a backend. */
  readonly headers: readonly HeaderPair[];
}

/** Each pool has the backends that the configuration gives it. All of them answer 200. */
export class RoutedBench implements Disposable {
  readonly memory = Memory.allocate();
  readonly log = new RecordingLog();
  readonly holdings = new Holdings();
  readonly pools: ReadonlyMap<string, ServerPool>;
  readonly forwarder: Forwarder;
  readonly #passive: PassiveHealth[] = [];

  constructor(settings: ConfigFile) {
    const config = configSchema.parse({ ...settings, health: { type: "none" } });
    const pools = new Map<string, ServerPool>();
    const runtimes = new Map<string, PoolRuntime>();
    for (const [name, own] of poolsOf(config)) {
      const pool = new ServerPool(this.memory.pool(pools.size));
      for (const spec of own.backends) pool.add(spec, "test");
      const passive = new PassiveHealth({ pool, limits: passiveLimits(own) });
      this.#passive.push(passive);
      pools.set(name, pool);
      runtimes.set(
        name,
        new PoolRuntime({
          name,
          pool,
          settings: own,
          retryShare: config.retries.budget,
          queue: new RequestQueue(pool.shared.line, this.memory.metrics),
          sessions: own.sticky?.by === "ip" ? SessionTable.allocate(own.sticky.timeoutMs) : undefined,
          passive,
        }),
      );
    }
    this.pools = pools;
    this.forwarder = new Forwarder(this.#parts(config, runtimes));
  }

  /** Sends a request: a GET for `/` of the host `x`, unless `head` says otherwise. */
  async ask(head: Partial<RequestHead> = {}): Promise<Outcome> {
    const exchange = new FakeExchange([OK], head);
    await this.forwarder.handle(exchange);
    const [sent] = exchange.sent;
    const pool = [...this.pools].find(([, { backends }]) => backends.some((backend) => backend === sent?.backend));
    return {
      to: pool?.[0] ?? String(exchange.problem?.status),
      target: sent?.target ?? "",
      sent: sent?.headers ?? [],
      answer: exchange.problem,
      headers: exchange.headers,
    };
  }

  /** Where a GET for this target goes. */
  async to(target: string, authority = "x"): Promise<string> {
    return (await this.ask({ target, authority })).to;
  }

  [Symbol.dispose](): void {
    this.holdings[Symbol.dispose]();
    for (const passive of this.#passive) passive.stop();
  }

  #parts(config: Config, pools: ReadonlyMap<string, PoolRuntime>) {
    const usual = pools.get("default");
    if (usual === undefined) throw new Error("there is always a default pool");
    const labels = routeLabels(config.routes);
    const entries = Object.values(config.routes ?? {}).flat();
    const { limits } = this.memory;
    limits.assign(limitNames(config, entries.map((entry, index) => [labels[index] ?? "", entry])));
    const means = { limits, holdings: this.holdings, pools };
    const rules = forwardingRules(config, means);
    return {
      route: { pool: usual, rules },
      routes: forwardingRoutes(config, rules, means, () => undefined),
      trust: new ForwardedTrust(config.proxy.trustForwarded),
      recorder: new RequestRecorder({
        memory: this.memory,
        routes: [],
        accessLog: config.log.access ? new AccessLog(this.log, true) : undefined,
      }),
      random: new RandomHex(),
      log: this.log,
    };
  }
}

/** The value of a header in a list; several lines are joined by a comma. */
export function valueIn(headers: readonly HeaderPair[], name: string): string | undefined {
  const values = headers.filter((pair) => pair[0].toLowerCase() === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(", ");
}

/** Everything that forwards requests in one isolate, put together: balancer, forwarder, engine. */

import { LoadBalancer } from "../balancing/load_balancer.ts";
import { strategyFactory } from "../balancing/registry.ts";
import { stickiness } from "../balancing/sticky.ts";
import type { Config } from "../config/schema.ts";
import type { Engine } from "../engines/engine.ts";
import { engineFactory } from "../engines/registry.ts";
import type { FailureReports } from "../health/passive.ts";
import type { Log } from "../log.ts";
import type { RequestMetrics } from "../memory/request_metrics.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { SessionTable } from "../memory/session_table.ts";
import { Forwarder } from "../proxy/forwarder.ts";
import { RandomHex } from "../proxy/ids.ts";
import { RequestQueue } from "../proxy/queue.ts";
import { RequestRecorder } from "../proxy/record.ts";
import { type ForwarderParts, forwardingRules } from "../proxy/rules.ts";
import type { Securing } from "../tls/server_certificate.ts";

export interface DataPlaneOptions extends Securing {
  readonly config: Config;
  readonly pool: ServerPool;
  readonly metrics: RequestMetrics;
  /** Sessions by address, where `sticky.by` is `ip`. */
  readonly sessions: SessionTable | undefined;
  readonly passive: FailureReports;
  readonly log: Log;
  /** Whether other isolates serve the port too. */
  readonly reusePort: boolean;
  /** Told when an isolate can accept no client, and when all can again. */
  readonly acceptingChanged: (accepting: boolean) => void;
}

/** Forwarding that runs, in one isolate or in several. */
export interface DataPlane extends Omit<Engine, "configure" | "uploadsEnd"> {
  /** Isolates that failed and were replaced. */
  readonly workerRestarts: number;
  /** Goes by another configuration from the next request on; what takes a restart stays as it was. */
  configure(config: Config, sessions: SessionTable | undefined): void;
  /**
   * The first part of a stop: new requests are answered 503, but the port stays open. Settles when no request body is
   * arriving any more.
   */
  refuseRequests(): Promise<void>;
  /** Settles when every isolate goes by all that was changed before, here and in the pool. */
  settled(): Promise<void>;
}

/**
 * Starts forwarding.
 *
 * @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound
 */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { config, pool, metrics, passive, log, certificate, reusePort, acceptingChanged } = options;
  const { shared } = pool;
  const fixed = {
    shared,
    passive,
    log,
    random: new RandomHex(),
    queue: new RequestQueue(shared.line, metrics),
    retryAfterSeconds: () => retryAfterSeconds(pool, Date.now()),
  };
  const partsFor = (config: Config, sessions: SessionTable | undefined): ForwarderParts => ({
    ...fixed,
    balancer: new LoadBalancer(pool, strategyFactory(config.strategy)),
    stickiness: stickiness(config.sticky, pool, sessions),
    rules: forwardingRules(config),
    recorder: new RequestRecorder({ shared, metrics, accessLog: config.log.access ? log : undefined }),
  });
  const forwarder = new Forwarder(partsFor(config, options.sessions));
  const engine = await engineFactory(config.engine)({
    config,
    pool,
    forwarder,
    log,
    certificate,
    reusePort,
    acceptingChanged,
  });
  return {
    address: engine.address,
    workerRestarts: 0, // an error that nobody catches in the only isolate ends the process
    setCertificate: engine.setCertificate?.bind(engine),
    refuseRequests() {
      forwarder.stop();
      return engine.uploadsEnd();
    },
    stop() {
      forwarder.stop();
      return engine.stop();
    },
    settled: () => Promise.resolve(),
    sayGoodbye: () => engine.sayGoodbye(),
    configure(config, sessions) {
      forwarder.configure(partsFor(config, sessions));
      engine.configure(config);
    },
  };
}

/** Whole seconds to the next health check or end of an ejection, at least 1. */
function retryAfterSeconds(pool: ServerPool, nowMs: number): number {
  let soonest = Infinity;
  for (const { recheckAt, ejectedUntil } of pool.backends) {
    for (const at of [recheckAt, ejectedUntil]) {
      if (at > nowMs && at < soonest) soonest = at;
    }
  }
  return soonest === Infinity ? 1 : Math.ceil((soonest - nowMs) / 1000);
}

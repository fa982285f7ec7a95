/** Puts together all that forwards requests in one isolate: pools, forwarder, engine. */

import { DEFAULT_POOL_NAME, poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import type { Engine, SocketSharing } from "../engines/engine.ts";
import { engineFactory } from "../engines/registry.ts";
import { Holdings } from "../guards/holdings.ts";
import type { Log } from "../log.ts";
import type { Memory } from "../memory/memory.ts";
import { RequestQueue } from "../pool/queue.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { AccessLog } from "../proxy/access_log.ts";
import { ForwardedTrust } from "../proxy/forwarded.ts";
import { Forwarder } from "../proxy/forwarder.ts";
import { RandomHex } from "../proxy/ids.ts";
import { RequestRecorder } from "../proxy/record.ts";
import { type ForwarderParts, forwardingRoutes, forwardingRules } from "../proxy/rules.ts";
import { ResponseFiles } from "../routing/own_response.ts";
import { PoolRuntime } from "../routing/pool_runtime.ts";
import { routeLabels } from "../routing/routes.ts";
import type { Securing } from "../tls/server_certificate.ts";
import { LateQuestions } from "./late_questions.ts";
import type { ServedPools } from "./served_pool.ts";

export interface DataPlaneOptions extends Securing {
  readonly config: Config;
  readonly memory: Memory;
  readonly pools: ServedPools;
  readonly log: Log;
  /** Whether other isolates serve the port, too. */
  readonly reusePort: boolean;
  /** See `EngineOptions.socket`. */
  readonly socket?: number | undefined;
  /** Called when an isolate can accept no client, and when all can accept clients again. */
  readonly acceptingChanged: (accepting: boolean) => void;
}

/** Another process can take over the sockets of a data plane. */
export interface PlaneSharing {
  /**
   * A descriptor of each socket. The caller owns them. `undefined`: too few are left in the process. Clients wait in the
   * kernel's accept queue until `resume` is called.
   */
  offer(): Promise<readonly number[] | undefined>;
  /** Accepts clients again. */
  resume(): Promise<unknown>;
  /** Accepts no more clients, because another process does. Each connection is closed after its next answer. */
  release(): Promise<void>;
}

/** A running data plane, in one isolate or in several. */
export interface DataPlane extends Omit<Engine, "configure" | "uploadsEnd" | "sharing"> {
  /** `undefined`: no other process can take over its sockets. */
  readonly sharing: PlaneSharing | undefined;
  /** How many isolates failed and were replaced. */
  readonly workerRestarts: number;
  /**
   * Uses another configuration, with the present pools and their sessions, from the next request on. Settings that need
   * a restart do not change.
   */
  configure(config: Config): void;
  /**
   * The first part of a stop. New requests are answered 503, but the port stays open. Settles when no request body is
   * arriving any more.
   */
  refuseRequests(): Promise<void>;
  /** Settles when all isolates use everything that was changed before, here and in the pools. */
  settled(): Promise<void>;
}

/**
 * Starts forwarding.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound
 */
export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { config, pools, log, tls, reusePort, socket, acceptingChanged } = options;
  const questions = new LateQuestions(pools.serverPools, log);
  const holdings = new Holdings(questions);
  const makeParts = partsMaker(options, holdings);
  const partsFor = (config: Config) => holdings.renew(() => makeParts(config));
  const forwarder = new Forwarder(partsFor(config));
  const engine = await (await engineFactory(config.engine))({
    config,
    pools: pools.serverPools,
    forwarder,
    log,
    tls,
    reusePort,
    socket,
    acceptingChanged,
  });
  const { sharing } = engine;
  return {
    address: engine.address,
    workerRestarts: 0, // with one isolate, an uncaught error ends the process
    setTls: engine.setTls?.bind(engine),
    sharing: sharing && planeSharing(sharing, forwarder),
    refuseRequests() {
      forwarder.stop();
      return engine.uploadsEnd();
    },
    async stop() {
      forwarder.stop();
      await engine.stop();
      holdings[Symbol.dispose]();
      questions[Symbol.dispose]();
    },
    settled: () => Promise.resolve(),
    async sayGoodbye() {
      questions[Symbol.dispose](); // requests that a server is asked about are refused
      await engine.sayGoodbye();
    },
    configure(config) {
      forwarder.configure(partsFor(config));
      engine.configure(config);
    },
  };
}

function planeSharing(sharing: SocketSharing, forwarder: Forwarder): PlaneSharing {
  return {
    offer() {
      const descriptor = sharing.offer();
      return Promise.resolve(descriptor === undefined ? undefined : [descriptor]);
    },
    resume: () => Promise.resolve(sharing.resume()),
    release() {
      forwarder.leave();
      return sharing.release();
    },
  };
}

/**
 * Returns a function that makes the forwarder's parts for a configuration. The queue of a pool stays the same. A pool that
 * ended and came back has another queue than the one whose requests may still wait.
 */
function partsMaker({ memory, pools, log }: DataPlaneOptions, holdings: Holdings): (config: Config) => ForwarderParts {
  const random = new RandomHex();
  const files = new ResponseFiles();
  const queues = new WeakMap<ServerPool, RequestQueue>();
  const queueOf = (pool: ServerPool) => {
    let queue = queues.get(pool);
    if (queue === undefined) queues.set(pool, queue = new RequestQueue(pool.shared.line, memory.metrics));
    return queue;
  };
  return (config) => {
    const retryShare = config.retries.budget;
    const runtimes = new Map<string, PoolRuntime>();
    for (const [name, settings] of poolsOf(config)) {
      const served = pools.get(name);
      if (served === undefined) throw new Error(`there is no pool ${name}`);
      const { pool, passive, sessions } = served;
      const queue = queueOf(pool);
      runtimes.set(name, new PoolRuntime({ name, pool, settings, retryShare, queue, sessions, passive }));
    }
    const usual = runtimes.get(DEFAULT_POOL_NAME);
    if (usual === undefined) throw new Error(`there is no pool ${DEFAULT_POOL_NAME}`);
    const means = { limits: memory.limits, holdings, pools: runtimes };
    const rules = forwardingRules(config, means);
    return {
      route: { pool: usual, rules },
      routes: forwardingRoutes(config, rules, means, files.next()),
      trust: new ForwardedTrust(config.proxy.trustForwarded),
      recorder: new RequestRecorder({
        memory,
        routes: memory.routes.find(routeLabels(config.routes)),
        accessLog: config.log.access === false ? undefined : new AccessLog(log, config.log.access),
      }),
      random,
      log,
    };
  };
}

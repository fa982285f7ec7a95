/** What one decision costs: the time of a pick for each strategy, by the number of backends. */
import { LoadBalancer } from "../../src/balancing/load_balancer.ts";
import { strategyFactory } from "../../src/balancing/registry.ts";
import { formatStrategy } from "../../src/config/fields.ts";
import type { PickRequest } from "../../src/balancing/strategy.ts";
import { backendSpecSchema, configSchema, type StrategyConfig } from "../../src/config/schema.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";
import type { Exchange } from "../../src/proxy/exchange.ts";
import { RandomHex } from "../../src/proxy/ids.ts";
import { ForwardedTrust } from "../../src/proxy/forwarded.ts";
import { type ForwarderParts, forwardingRules } from "../../src/proxy/rules.ts";
import { Story } from "../../src/proxy/story.ts";
import { VERSION } from "../../src/version.ts";
import type { Result } from "./results.ts";

const strategies: readonly StrategyConfig[] = [
  { kind: "round-robin" },
  { kind: "least-connections" },
  { kind: "least-latency" },
  { kind: "random" },
  { kind: "ip-hash" },
  { kind: "uri-hash" },
  { kind: "header-hash", header: "x-user" },
];
const poolSizes = [2, 100, 1_000];
const rounds = 31;
const warmUpMs = 150;
/** Long beside the clock's resolution, short enough that many samples see a quiet machine. */
const sampleMs = 10;

/** A power of two, so that a mask is all it takes to go round. */
const requestCount = 1_024;

interface Case {
  readonly strategy: string;
  readonly backends: number;
  readonly balancer: LoadBalancer;
  readonly picksPerSample: number;
  readonly nanoseconds: number[];
}

/**
 * Measures what a pick costs, in nanoseconds. Each strategy picks as it does for a request: through the balancer, with health, limits
 * and connections in shared memory. Backends have weight 1, 0 to 7 connections and a response time; requests differ in
 * address, path and header. The cases take their turns in every round, so that a disturbance hits all alike.
 */
export function measurePicks(): Result {
  const requests = supposedRequests();
  const cases = strategies.flatMap((strategy) => poolSizes.map((backends) => prepare(strategy, backends, requests)));
  for (let round = 0; round < rounds; round++) {
    for (const { balancer, picksPerSample, nanoseconds } of cases) {
      const startedAt = performance.now();
      pickOften(balancer, requests, picksPerSample);
      nanoseconds.push((performance.now() - startedAt) * 1e6 / picksPerSample);
    }
  }
  return picksResult(cases);
}

function prepare(config: StrategyConfig, backends: number, requests: readonly PickRequest[]): Case {
  const pool = new ServerPool(Memory.allocate().pool(0));
  for (let index = 0; index < backends; index++) {
    const url = `http://10.0.${index >> 8}.${index & 255}:8080`;
    const backend = pool.add(backendSpecSchema.parse({ url }), "measured");
    for (let connection = 0; connection < index * 5 % 8; connection++) backend.lease();
    backend.answered(200, 1 + index * 7 % 50);
  }
  const balancer = new LoadBalancer(pool, strategyFactory(config));
  const startedAt = performance.now();
  let picks = 0;
  while (performance.now() - startedAt < warmUpMs) picks += pickOften(balancer, requests, 256);
  const picksPerSample = Math.ceil(picks * sampleMs / warmUpMs);
  return { strategy: formatStrategy(config), backends, balancer, picksPerSample, nanoseconds: [] };
}

/** Returns how many picks found a backend: something has to come of them, or the compiler may leave them out. */
function pickOften(balancer: LoadBalancer, requests: readonly PickRequest[], times: number): number {
  let found = 0;
  for (let pick = 0; pick < times; pick++) {
    const request = requests[pick & (requestCount - 1)];
    if (request !== undefined && balancer.pick(request) !== undefined) found++;
  }
  return found;
}

function supposedRequests(): readonly PickRequest[] {
  // Only this much is used before the first attempt.
  const route = { rules: forwardingRules(configSchema.parse({})) };
  const parts = { route, trust: new ForwardedTrust([]), random: new RandomHex() } as unknown as ForwarderParts;
  return Array.from({ length: requestCount }, (_, index) => {
    const client = `192.0.${index >> 8}.${index & 255}`;
    const target = `/products/${index}/reviews?page=2`;
    const headers: [string, string][] = [
      ["Accept", "*/*"],
      ["User-Agent", "bench"],
      ["X-User", `user-${index}`],
      ["X-Trace", "0"],
    ];
    const head = { method: "GET", target, authority: "bench", headers, bodyBytes: 0, peer: client, secure: false };
    return new Story({ request: head } as unknown as Exchange, parts);
  });
}

function picksResult(cases: readonly Case[]): Result {
  const columns = poolSizes.map((backends) => ({
    key: `backends${backends}`,
    title: `ns, ${backends.toLocaleString("en")} backends`,
    digits: 0,
    range: true,
  }));
  const rows = Map.groupBy(cases, ({ strategy }) => strategy).entries().map(([strategy, sizes]) => ({
    name: strategy,
    title: strategy,
    own: true,
    version: VERSION,
    samples: Array.from(
      { length: rounds },
      (_, round) =>
        Object.fromEntries(
          sizes.map(({ backends, nanoseconds }) => [`backends${backends}`, nanoseconds[round] ?? NaN]),
        ),
    ),
  }));
  return {
    name: "picks",
    title: "The choice of a backend",
    about: `The time of one pick by strategy, without any traffic: median of ${rounds} samples of ${sampleMs} ms.`,
    columns,
    rowsAre: "strategies",
    rows: [...rows],
  };
}

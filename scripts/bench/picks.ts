/** What the choice of a backend costs, by strategy and by the number of backends. */
import { LoadBalancer } from "../../src/balancing/load_balancer.ts";
import { strategyFactory } from "../../src/balancing/registry.ts";
import { formatStrategy } from "../../src/config/fields.ts";
import type { PickRequest } from "../../src/balancing/strategy.ts";
import { backendSpecSchema, configSchema, type StrategyConfig } from "../../src/config/schema.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Holdings } from "../../src/guards/holdings.ts";
import { Memory } from "../../src/memory/memory.ts";
import type { Exchange } from "../../src/proxy/exchange.ts";
import { RandomHex } from "../../src/proxy/ids.ts";
import { ForwardedTrust } from "../../src/proxy/forwarded.ts";
import { type ForwarderParts, forwardingRules } from "../../src/proxy/rules.ts";
import { Story } from "../../src/proxy/story.ts";
import { type Decision, type DecisionTable, requestCount, sampling } from "./decisions.ts";

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

/**
 * Each strategy picks as it does for a request: through the balancer, with health, limits and connections in shared
 * memory. Backends have weight 1, 0 to 7 connections and a response time; requests differ in address, path and header.
 */
export function picks(): DecisionTable {
  const requests = supposedRequests();
  return {
    name: "picks",
    title: "The choice of a backend",
    about: `The time of one pick by strategy, without any traffic: ${sampling}.`,
    rowsAre: "strategy",
    decisions: strategies.flatMap((strategy) => poolSizes.map((backends) => pick(strategy, backends, requests))),
  };
}

function pick(config: StrategyConfig, backends: number, requests: readonly PickRequest[]): Decision {
  const pool = new ServerPool(Memory.allocate().pool(0));
  for (let index = 0; index < backends; index++) {
    const url = `http://10.0.${index >> 8}.${index & 255}:8080`;
    const backend = pool.add(backendSpecSchema.parse({ url }), "measured");
    for (let connection = 0; connection < index * 5 % 8; connection++) backend.lease();
    backend.answered(200, 1 + index * 7 % 50);
  }
  const balancer = new LoadBalancer(pool, strategyFactory(config));
  return {
    row: formatStrategy(config),
    column: `${backends.toLocaleString("en")} backends`,
    decideOften: (times) => pickOften(balancer, requests, times),
  };
}

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
  const route = {
    rules: forwardingRules(configSchema.parse({}), {
      limits: Memory.allocate().limits,
      holdings: new Holdings(),
      pools: new Map(),
    }),
  };
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

/** The strategies by name, one line each. */

import type { Config } from "../config/schema.ts";
import { headerHash } from "./header_hash.ts";
import { ipHash } from "./ip_hash.ts";
import { leastConnections } from "./least_connections.ts";
import { leastLatency } from "./least_latency.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round_robin.ts";
import type { StrategyFactory } from "./strategy.ts";
import { uriHash } from "./uri_hash.ts";

type Kind = Config["strategy"]["kind"];

/** Makes the factory of each strategy that takes no value. `config/fields.ts` lists the same names. */
const MAKERS: Readonly<Record<Exclude<Kind, "header-hash">, () => StrategyFactory>> = {
  "round-robin": () => roundRobin,
  "least-connections": () => leastConnections,
  "random": () => random,
  "ip-hash": () => ipHash,
  "uri-hash": () => uriHash,
  "least-latency": () => leastLatency(),
};

/** Returns the factory of the configured strategy. */
export function strategyFactory(config: Config["strategy"]): StrategyFactory {
  return config.kind === "header-hash" ? headerHash(config.header) : MAKERS[config.kind]();
}

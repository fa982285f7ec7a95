/** The strategies by name, one case each. */

import type { Config } from "../config/schema.ts";
import { headerHash } from "./header_hash.ts";
import { ipHash } from "./ip_hash.ts";
import { leastConnections } from "./least_connections.ts";
import { leastLatency } from "./least_latency.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round_robin.ts";
import type { StrategyFactory } from "./strategy.ts";
import { uriHash } from "./uri_hash.ts";

/** Returns the factory of the configured strategy. */
export function strategyFactory(config: Config["strategy"]): StrategyFactory {
  switch (config.kind) {
    case "round-robin":
      return roundRobin;
    case "least-connections":
      return leastConnections;
    case "random":
      return random;
    case "ip-hash":
      return ipHash;
    case "uri-hash":
      return uriHash;
    case "header-hash":
      return headerHash(config.header);
    case "least-latency":
      return leastLatency();
  }
}

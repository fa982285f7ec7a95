/** The strategies by name: one line each. */

import type { Config } from "../config/schema.ts";
import { roundRobin } from "./round_robin.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Returns the factory of the configured strategy. */
export function strategyFactory(config: Config["strategy"]): StrategyFactory {
  switch (config.kind) {
    case "round-robin":
      return roundRobin;
    default:
      throw new Error(`strategy ${config.kind} is refused by the configuration until it exists`);
  }
}

/** The strategy's name as the configuration spells it. */
export function strategyName(config: Config["strategy"]): string {
  return config.kind === "header-hash" ? `header-hash:${config.header}` : config.kind;
}

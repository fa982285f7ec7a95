/** The engines by name: one line each. */

import type { Config } from "../config/schema.ts";
import type { EngineFactory } from "./engine.ts";
import { startFetchEngine } from "./fetch/server.ts";
import { startWireEngine } from "./wire/server.ts";

/** Returns what starts the configured engine. */
export function engineFactory(name: Config["engine"]): EngineFactory {
  switch (name) {
    case "fetch":
      return startFetchEngine;
    case "wire":
      return startWireEngine;
  }
}

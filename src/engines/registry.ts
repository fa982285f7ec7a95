/** The engines by name, one case each. */

import type { Config } from "../config/schema.ts";
import type { EngineFactory } from "./engine.ts";
import { startFetchEngine } from "./fetch/server.ts";
import { startWireEngine } from "./wire/server.ts";

/** Returns the function that starts the configured engine. */
export function engineFactory(name: Config["engine"]): EngineFactory {
  switch (name) {
    case "fetch":
      return startFetchEngine;
    case "wire":
      return startWireEngine;
  }
}

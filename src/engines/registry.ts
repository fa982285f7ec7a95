/** The engines by name, one case each. Only the one that is used is loaded. */

import type { Config } from "../config/schema.ts";
import type { EngineFactory } from "./engine.ts";

/** Returns the function that starts the configured engine. */
export async function engineFactory(name: Config["engine"]): Promise<EngineFactory> {
  switch (name) {
    case "fetch":
      return (await import("./fetch/server.ts")).startFetchEngine;
    case "wire":
      return (await import("./wire/server.ts")).startWireEngine;
  }
}

/** The conformance suite: contract section 3 on a given engine. A new engine joins with one call. */

import type { EngineUnderTest } from "./engine_under_test.ts";
import { testSmuggling } from "./smuggling.ts";

/** Registers every test of the suite for one engine. */
export function testConformance(engine: EngineUnderTest): void {
  testSmuggling(engine);
}

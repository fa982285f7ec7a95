/** The conformance suite: what the proxy promises of HTTP, on a given engine. A new engine joins with one call. */

import { testBasicAuth } from "./basic_auth.ts";
import { testForwardAuth } from "./forward_auth.ts";
import { testBodies } from "./bodies.ts";
import { testClaims } from "./claims.ts";
import { testCompression } from "./compression.ts";
import { testCounts } from "./counts.ts";
import type { EngineUnderTest } from "./engine_under_test.ts";
import { testGuardSpellings } from "./guard_spellings.ts";
import { testGuards } from "./guards.ts";
import { testHeldRequests } from "./held_requests.ts";
import { testHeaders } from "./headers.ts";
import { testLeaving } from "./leaving.ts";
import { testMirror } from "./mirror.ts";
import { testPassiveHealth } from "./passive.ts";
import { testRefusals } from "./refusals.ts";
import { testRequests } from "./requests.ts";
import { testResponses } from "./responses.ts";
import { testRetries } from "./retries.ts";
import { testRouteRules } from "./route_rules.ts";
import { testRoutes } from "./routes.ts";
import { testSmuggling } from "./smuggling.ts";
import { testTimeouts } from "./timeouts.ts";
import { testUpgrades } from "./upgrades.ts";

/** Registers every test of the suite for one engine. */
export function testConformance(engine: EngineUnderTest): void {
  testSmuggling(engine);
  testRequests(engine);
  testRefusals(engine);
  testResponses(engine);
  testHeaders(engine);
  testClaims(engine);
  testBodies(engine);
  testCompression(engine);
  testRetries(engine);
  testPassiveHealth(engine);
  testTimeouts(engine);
  testUpgrades(engine);
  testLeaving(engine);
  testCounts(engine);
  testRoutes(engine);
  testRouteRules(engine);
  testGuards(engine);
  testBasicAuth(engine);
  testForwardAuth(engine);
  testHeldRequests(engine);
  testGuardSpellings(engine);
  testMirror(engine);
}

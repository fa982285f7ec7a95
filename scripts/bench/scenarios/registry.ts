/** All scenarios of the benchmark, in the order of the tables. */
import type { Scenario } from "../scenario.ts";
import { manyConnections } from "./connections.ts";
import { failure } from "./failure.ts";
import { fixedRate } from "./fixed_rate.ts";
import { memory } from "./memory.ts";
import { passwords } from "./passwords.ts";
import { manyPools } from "./pools.ts";
import { ready } from "./ready.ts";
import { routed } from "./routed.ts";
import { throughput } from "./throughput.ts";
import { websocket } from "./websocket.ts";

/** All of them. */
export const scenarios: readonly Scenario[] = [
  ...throughput,
  websocket,
  fixedRate,
  manyConnections,
  memory,
  ready,
  failure,
  routed,
  passwords,
  manyPools,
];

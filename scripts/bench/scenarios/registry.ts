/** Every scenario the benchmark knows, in the order of the tables. */
import type { Scenario } from "../scenario.ts";
import { throughput } from "./throughput.ts";

/** All of them. */
export const scenarios: readonly Scenario[] = [...throughput];

/** Tells what the guards would do with a request. Spends nothing. */

import type { Config } from "../config/schema.ts";
import type { GuardName } from "../errors.ts";
import type { GuardedRequest, GuardPlace } from "./guard.ts";
import { type GuardOverrides, Guards } from "./guards.ts";
import { Holdings } from "./holdings.ts";

/** What one guard would do. */
export interface ExplainedGuard {
  readonly guard: GuardName;
  readonly refuses: boolean;
  readonly reason: string;
}

/** @param entry the entry of the request's route, `{}` if no route takes it, and its place */
export function explainGuards(
  config: Config,
  [entry, where]: readonly [GuardOverrides, Pick<GuardPlace, "name" | "limits">],
  request: GuardedRequest,
): ExplainedGuard[] {
  using holdings = new Holdings(); // nothing is asked, so guards hold nothing
  const place = { ...where, holdings, pools: new Map() };
  const verdicts = Guards.forEntry(Guards.forAll(config, place), entry, place)?.explain(request) ?? [];
  return verdicts.map(([guard, { refusal, reason }]) => ({ guard, refuses: refusal !== undefined, reason }));
}

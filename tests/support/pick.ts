/** Requests for strategies, and counting of what they pick. */

import type { PickRequest, Strategy } from "../../src/balancing/strategy.ts";
import type { Backend } from "../../src/pool/backend.ts";

/** A request that accepts every backend. */
export function pickRequest(overrides: Partial<PickRequest> = {}): PickRequest {
  return { client: "192.0.2.1", target: "/", header: () => undefined, accepts: () => true, ...overrides };
}

/** How often each backend (by URL) is picked in `times` picks; `none` counts picks without a result. */
export function countPicks(
  picker: Pick<Strategy, "pick">,
  times: number,
  request: PickRequest = pickRequest(),
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < times; index++) {
    const name = picker.pick(request)?.url ?? "none";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Accepts all but these. */
export function rejecting(...backends: readonly (Backend | undefined)[]): PickRequest {
  return pickRequest({ accepts: (backend) => !backends.includes(backend) });
}

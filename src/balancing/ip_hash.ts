/** The same client, the same backend. */

import { Rendezvous } from "./rendezvous.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Weighted rendezvous hashing of the client's whole address, the one that `proxy.trustForwarded` yields. */
export const ipHash: StrategyFactory = (candidates) => {
  const rendezvous = new Rendezvous(candidates);
  return { pick: (request) => rendezvous.pick(request.client, request) };
};

/** Sends requests of the same client to the same backend. */

import { rendezvousOf } from "./rendezvous.ts";
import type { StrategyFactory } from "./strategy.ts";

/** Weighted rendezvous hashing of the client's whole address, as determined by `proxy.trustForwarded`. */
export const ipHash: StrategyFactory = (candidates) => {
  const rendezvous = rendezvousOf(candidates);
  return { pick: (request) => rendezvous.pick(request.client, request) };
};

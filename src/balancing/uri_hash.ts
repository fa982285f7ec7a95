/** Sends requests with the same path to the same backend. */

import { rendezvousOf } from "./rendezvous.ts";
import type { StrategyFactory } from "./strategy.ts";

/**
 * Weighted rendezvous hashing of the path, as the client sent it, without the query. HAProxy's `balance uri` does the
 * same. So a cache behind it gets all variants of a page.
 */
export const uriHash: StrategyFactory = (candidates) => {
  const rendezvous = rendezvousOf(candidates);
  return {
    pick(request) {
      const query = request.target.indexOf("?");
      return rendezvous.pick(request.target, request, query === -1 ? request.target.length : query);
    },
  };
};

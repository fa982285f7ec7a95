/** The same path, the same backend. */

import { Rendezvous } from "./rendezvous.ts";
import type { StrategyFactory } from "./strategy.ts";

/**
 * Weighted rendezvous hashing of the path as the client sent it, without the query: what HAProxy's `balance uri` goes
 * by, so that a cache behind it sees all variants of a page.
 */
export const uriHash: StrategyFactory = (candidates) => {
  const rendezvous = new Rendezvous(candidates);
  return {
    pick(request) {
      const query = request.target.indexOf("?");
      return rendezvous.pick(request.target, request, query === -1 ? request.target.length : query);
    },
  };
};

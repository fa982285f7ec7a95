/** The same value of a header, the same backend. */

import { Rendezvous } from "./rendezvous.ts";
import { roundRobin } from "./round_robin.ts";
import type { StrategyFactory } from "./strategy.ts";

/**
 * Weighted rendezvous hashing of a request header's value, byte for byte. Requests without the header, or with an empty
 * one, have nothing in common that would bind them: they go round robin, since one key for all would send them all to
 * one backend.
 *
 * @param name in lower case
 */
export function headerHash(name: string): StrategyFactory {
  return (candidates, context) => {
    const rendezvous = new Rendezvous(candidates);
    const withoutHeader = roundRobin(candidates, context);
    return {
      pick(request) {
        const value = request.header(name);
        return value ? rendezvous.pick(value, request) : withoutHeader.pick(request);
      },
    };
  };
}

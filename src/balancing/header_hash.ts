/** Sends requests with the same value of a header to the same backend. */

import { rendezvousOf } from "./rendezvous.ts";
import { roundRobin } from "./round_robin.ts";
import type { StrategyFactory } from "./strategy.ts";

/**
 * Weighted rendezvous hashing of the value of a request header, byte for byte. Requests without the header, or with an
 * empty value, go round robin. With one common key, they would all go to one backend.
 *
 * @param name in lower case
 */
export function headerHash(name: string): StrategyFactory {
  return (candidates, context) => {
    const rendezvous = rendezvousOf(candidates);
    const withoutHeader = roundRobin(candidates, context);
    return {
      pick(request) {
        const value = request.header(name);
        return value ? rendezvous.pick(value, request) : withoutHeader.pick(request);
      },
    };
  };
}

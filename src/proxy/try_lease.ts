/** Finds a place for a request: at the backend of its session, or at the one whose turn it is. */

import type { Lease } from "../pool/backend.ts";
import type { PooledStory } from "./story.ts";

/** Takes a place, if there is one and the request overtakes no waiting one. */
export function tryLease(story: PooledStory): Lease | undefined {
  const { balancer } = story.pool;
  const bound = story.sticksTo;
  if (bound !== undefined) {
    const { ticket } = story;
    // Requests that wait for any eligible backend do not wait for a draining one. So they don't delay this request
    // there.
    const free = bound.hasRoomFor(ticket) ||
      (bound.hasRoomFor(ticket, false) && !balancer.eligible.includes(bound));
    return free ? bound.lease() : undefined;
  }
  return story.pool.lease(story);
}

/** The slots of the backends that a request waits for; `undefined`: any eligible backend. */
export function awaitedSlots(story: PooledStory): readonly number[] | undefined {
  const bound = story.sticksTo;
  if (bound !== undefined) return [bound.slot];
  if (story.tried.length === 0) return undefined;
  const { eligible } = story.pool.balancer;
  const untried = eligible.filter((backend) => !story.hasTried(backend));
  return untried.length === eligible.length ? undefined : untried.map(({ slot }) => slot);
}

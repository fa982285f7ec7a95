/**
 * A guard decides whether a request may go on to its route. It knows no engine, and decides from the head of the request
 * alone.
 */

import type { GuardRefusal } from "../errors.ts";
import type { Limits } from "../memory/limits.ts";

/** A request as guards see it. */
export interface GuardedRequest {
  /** The client's address, as determined by `proxy.trustForwarded`. */
  readonly client: string;
  /** The value of a header (lower-case name), unless it is one that only a trusted peer may send. */
  believed(name: string): string | undefined;
}

/** A request that is passing the guards. They leave with it what its end and its answer need. */
export interface PassingRequest extends GuardedRequest {
  /** Adds headers to whatever the client is answered. */
  tell(...headers: readonly (readonly [name: string, value: string])[]): void;
  /** Keeps something that is given back when the request has ended. Not more than one guard has such a thing. */
  hold(place: HeldPlace): void;
  /** The request is over a limit, whether it is refused for that or not. */
  exceeds(): void;
}

export interface HeldPlace {
  giveBack(): void;
}

/** Where a guard stands. */
export interface GuardPlace {
  /** Names the entry, or all requests. What guards count is kept by this name over reloads. */
  readonly name: string;
  /** Has the memory of what guards count. */
  readonly limits: Limits;
}

/** What a guard would do with a request. */
export interface GuardVerdict {
  readonly refusal: GuardRefusal | undefined;
  /** Why, in words. */
  readonly reason: string;
}

/** Made once for a configuration. All requests that inherit it from the top level share one. */
export interface Guard {
  /** Returns why the request is refused; `undefined`: it may go on. Spends what there is to spend. */
  check(request: PassingRequest): GuardRefusal | undefined;
  /** Tells what `check` would do, and spends nothing. */
  explain(request: GuardedRequest): GuardVerdict;
}

/**
 * A guard decides whether a request may go on to its route. It knows no engine, and decides from the head of the request
 * alone.
 */

import type { GuardRefusal } from "../errors.ts";

/** A request as guards see it. */
export interface GuardedRequest {
  /** The client's address, as determined by `proxy.trustForwarded`. */
  readonly client: string;
  /** The value of a header (lower-case name), unless it is one that only a trusted peer may send. */
  believed(name: string): string | undefined;
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
  check(request: GuardedRequest): GuardRefusal | undefined;
  /** Tells what `check` would do, and spends nothing. */
  explain(request: GuardedRequest): GuardVerdict;
}

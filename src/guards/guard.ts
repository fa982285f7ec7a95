/**
 * A guard decides whether a request may go on to its route. It knows no engine, and decides from the head of the request
 * alone.
 */

import type { GuardRefusal } from "../errors.ts";
import type { Limits } from "../memory/limits.ts";
import type { Holdings } from "./holdings.ts";
import type { AskedPool } from "./asked_pool.ts";

type HeaderPair = readonly [name: string, value: string];

/** A request as guards see it. */
export interface GuardedRequest {
  readonly method: string;
  /** The client's address, as determined by `proxy.trustForwarded`. */
  readonly client: string;
  /** The value of a header (lower-case name), unless it is one that only a trusted peer may send. */
  believed(name: string): string | undefined;
}

/** A request that is passing the guards. They leave with it what its end and its answer need. */
export interface PassingRequest extends GuardedRequest {
  /** Path and query as a backend would get them if the route changed nothing. ASCII only. */
  readonly uri: string;
  /**
   * The request's headers without those of the connection, and with `X-Forwarded-*`, which say what is true or what a
   * trusted peer says. Names may have any case. The operator's rules for headers come later.
   */
  readonly arrived: readonly HeaderPair[];
  /**
   * Aborted when the answer of a guard is of no use any more: the client has left, or the request's time is over. For
   * guards that decide later.
   */
  readonly signal: AbortSignal;
  /** Adds headers to whatever the client is answered. */
  tell(...headers: readonly HeaderPair[]): void;
  /** Sets headers of the request for the backend, in place of any by these names. Names in lower case. */
  give(...headers: readonly HeaderPair[]): void;
  /** Keeps something that is given back when the request has ended. Not more than one guard has such a thing. */
  hold(place: HeldPlace): void;
  /** The request is over a limit, whether it is refused for that or not. */
  exceeds(): void;
}

export interface HeldPlace {
  giveBack(): void;
}

/** What guards are made with. */
export interface GuardMeans {
  /** Has the memory of what guards count. */
  readonly limits: Limits;
  /** Has what guards hold for longer than a request. */
  readonly holdings: Holdings;
  /** The pools of the configuration by name. */
  readonly pools: ReadonlyMap<string, AskedPool>;
}

/** Where a guard stands. */
export interface GuardPlace extends GuardMeans {
  /** Names the entry, or all requests. What guards count is kept by this name over reloads. */
  readonly name: string;
}

/** Why a request is refused; `undefined`: it may go on. */
export type Decision = GuardRefusal | undefined;

/** What a guard would do with a request. */
export interface GuardVerdict {
  readonly refusal: GuardRefusal | undefined;
  /** Why, in words. */
  readonly reason: string;
}

/** Made once for a configuration. All requests that inherit it from the top level share one. */
export interface Guard {
  /** Headers that never reach a backend if the client sent them, in any spelling and in trailers. Default: none. */
  readonly owned?: readonly string[];
  /**
   * Returns why the request is refused; `undefined`: it may go on. Spends what there is to spend. A promise stands for a
   * decision that can't be made at once. Until then, nothing of the body is read and no WebSocket is accepted. If it
   * rejects, the request fails.
   */
  check(request: PassingRequest): Decision | Promise<Decision>;
  /** Tells what `check` would do, and spends nothing. */
  explain(request: GuardedRequest): GuardVerdict;
}

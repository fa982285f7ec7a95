/** One request: what it goes by, where it goes, what a backend gets, and the backends that it has tried. */

import type { PickRequest } from "../balancing/strategy.ts";
import type { Backend } from "../pool/backend.ts";
import type { ProxyError } from "../errors.ts";
import type { HeldPlace, PassingRequest } from "../guards/guard.ts";
import { LooseNames } from "../http1/loose_name.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import { turnNow } from "../net/turn_clock.ts";
import type { Exchange, OwnAnswer } from "./exchange.ts";
import { type ForwardedRequest, forwardRequest, isClaim, ruledRequest } from "./headers.ts";
import type { HeaderPair, RequestHead } from "./message.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { RouteIdentity } from "../routing/routes.ts";
import type { ForwarderParts, ForwardingRules } from "./rules.ts";

/** A request that goes to a pool. */
export interface PooledStory extends Story {
  readonly pool: PoolRuntime;
}

/** Strategies see it as a `PickRequest`, sessions as a `StickyRequest`, guards as a `PassingRequest`. */
export class Story implements PickRequest, PassingRequest {
  readonly exchange: Exchange;
  // All that follows from the configuration comes from the one that was in force when the request began. A reload does not
  // change it.
  readonly parts: ForwarderParts;
  /** The pool that the request goes to; `undefined`: none. */
  pool: PoolRuntime | undefined;
  rules: ForwardingRules;
  /** The route that decided about the request; `undefined`: none did. */
  route: RouteIdentity | undefined;
  /** The answer that the route gives itself; `undefined`: it gives none. */
  ownAnswer: OwnAnswer | undefined;
  /** Why the request is refused; `undefined`: it is not. */
  refusal: ProxyError | undefined;
  /** Settles when `refusal` is known; `undefined`: it is. Never rejects. */
  deciding: Promise<void> | undefined;
  /** What guards add to whatever the client is answered; `undefined`: nothing. */
  guardHeaders: HeaderPair[] | undefined;
  /** Given back when the request has ended. */
  place: HeldPlace | undefined;
  /** Whether the request is over a limit. */
  isOverLimit = false;
  /** The target for the backend. */
  backendTarget: string;
  /** The headers for the backend. */
  headers: HeaderPair[];
  #breakOff: AbortController | undefined;
  /** By `turnNow()`. */
  readonly startedAt = turnNow();
  readonly forwarded: ForwardedRequest;
  /** The backend that the client's session names, even if it can no longer serve. */
  session: Backend | undefined;
  /** The backends that were tried, in order. One that was lost and came back may be there twice. */
  readonly tried: Backend[] = [];
  /** The first entries of `tried`, this many, no longer prevent another attempt at the same backend. */
  #forgiven = 0;
  /** When the request first waited for a lost backend, in milliseconds since the Unix epoch; 0: never. */
  heldSince = 0;
  /** The request's ticket while it waits. */
  ticket = NO_TICKET;

  /** A request that goes where all go to which no route applies. */
  constructor(exchange: Exchange, parts: ForwarderParts) {
    const { pool, rules } = parts.route;
    this.exchange = exchange;
    this.parts = parts;
    this.pool = parts.routes === undefined ? pool : undefined;
    this.rules = rules;
    this.forwarded = forwardRequest(exchange.request, parts.trust, parts.random);
    this.headers = this.forwarded.headers;
    this.backendTarget = exchange.request.target;
  }

  get request(): RequestHead {
    return this.exchange.request;
  }

  get method(): string {
    return this.exchange.request.method;
  }

  /** The target that the client asked for. */
  get target(): string {
    return this.exchange.request.target;
  }

  get uri(): string {
    const { target } = this;
    if (this.request.rewritesTarget !== true) return target;
    const { pathname, search } = new URL(`http://x${target}`);
    return pathname + search;
  }

  /** The client's address, as determined by `proxy.trustForwarded`. */
  get client(): string {
    return this.forwarded.client;
  }

  /** Whether the client's own connection is encrypted. */
  get secure(): boolean {
    return this.forwarded.secure;
  }

  get bytesIn(): number | null {
    return this.exchange.bytesIn;
  }

  header(name: string): string | undefined {
    return valueOf(name, this.exchange.request.headers);
  }

  /** The value of a header, without what the client claims and nobody trusts. */
  believed(name: string): string | undefined {
    return isClaim(name) ? valueOf(name, this.forwarded.headers) : this.header(name);
  }

  get arrived(): readonly HeaderPair[] {
    return this.forwarded.headers;
  }

  get signal(): AbortSignal {
    let breakOff = this.#breakOff;
    if (breakOff === undefined) {
      const controller = this.#breakOff = breakOff = new AbortController();
      const { exchange } = this;
      if (exchange.brokenOff !== undefined) controller.abort();
      else exchange.onBreakOff(() => controller.abort());
    }
    return breakOff.signal;
  }

  give(...headers: readonly (readonly [name: string, value: string])[]): void {
    const names = new LooseNames(headers.map(([name]) => name));
    this.headers = this.headers.filter(([name]) => !names.has(name));
    for (const [name, value] of headers) this.headers.push([name, value]);
  }

  tell(...headers: readonly (readonly [name: string, value: string])[]): void {
    this.guardHeaders ??= [];
    for (const [name, value] of headers) this.guardHeaders.push([name, value]);
  }

  hold(place: HeldPlace): void {
    this.place = place;
  }

  exceeds(): void {
    this.isOverLimit = true;
  }

  /**
   * Applies the rules to the headers for the backend.
   *
   * @param stripped what was cut off the beginning of the path
   */
  applyRules(stripped = ""): void {
    this.headers = ruledRequest(this.headers, this.rules.requestHeaders, stripped);
  }

  /** Whether a pool is to answer the request. */
  goesToPool(): this is PooledStory {
    return this.pool !== undefined;
  }

  accepts(backend: Backend): boolean {
    return !this.hasTried(backend) && backend.hasRoomFor(this.ticket);
  }

  /** Whether the request has tried this backend since the last `forgiveAll`. */
  hasTried(backend: Backend): boolean {
    return this.tried.includes(backend, this.#forgiven);
  }

  /** Allows all backends to be tried again, because all were lost. */
  forgiveAll(): void {
    this.#forgiven = this.tried.length;
  }

  /**
   * The backend of the session, if it may serve the request. A draining backend, or one of weight 0, keeps its
   * sessions. A disabled one, or one that is down, does not.
   */
  get sticksTo(): Backend | undefined {
    const backend = this.session;
    if (!backend?.inPool || !backend.usable || backend.state === "disabled") return undefined;
    return this.hasTried(backend) ? undefined : backend;
  }
}

/**
 * The value of a header. Lines are joined as in RFC 9110 §5.3 and RFC 9113 §8.2.3, so that the value is the same whether
 * the engine has joined them or not.
 *
 * @param name in lower case
 */
export function valueOf(name: string, headers: readonly HeaderPair[]): string | undefined {
  let value: string | undefined;
  for (const pair of headers) {
    if (pair[0].length !== name.length || pair[0].toLowerCase() !== name) continue;
    value = value === undefined ? pair[1] : `${value}${name === "cookie" ? "; " : ", "}${pair[1]}`;
  }
  return value;
}

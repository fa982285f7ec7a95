/** One request: the pool and the rules that it began with, what a backend gets, and the backends that it has tried. */

import type { PickRequest } from "../balancing/strategy.ts";
import type { Backend } from "../pool/backend.ts";
import type { ProxyError } from "../errors.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import type { Exchange } from "./exchange.ts";
import { type ForwardedRequest, forwardRequest } from "./headers.ts";
import type { RequestHead } from "./message.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { ForwarderParts, ForwardingRules, Route } from "./rules.ts";

/** Strategies see it as a `PickRequest`, sessions as a `StickyRequest`. */
export class Story implements PickRequest {
  readonly exchange: Exchange;
  // These three come from the configuration that was in force when the request began. A reload does not change them.
  readonly parts: ForwarderParts;
  readonly pool: PoolRuntime;
  readonly rules: ForwardingRules;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  readonly forwarded: ForwardedRequest;
  /** Why the request is refused; `undefined`: it is not. */
  readonly refusal: ProxyError | undefined;
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

  constructor(exchange: Exchange, parts: ForwarderParts, { pool, rules }: Route, refusal: ProxyError | undefined) {
    this.exchange = exchange;
    this.parts = parts;
    this.pool = pool;
    this.rules = rules;
    this.refusal = refusal;
    this.forwarded = forwardRequest(exchange.request, parts.trust, rules.requestHeaders, parts.random);
  }

  get request(): RequestHead {
    return this.exchange.request;
  }

  get target(): string {
    return this.exchange.request.target;
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
    let value: string | undefined;
    for (const pair of this.exchange.request.headers) {
      if (pair[0].length !== name.length || pair[0].toLowerCase() !== name) continue;
      // Lines are joined as in RFC 9110 §5.3 and RFC 9113 §8.2.3. So the value is the same whether the engine has
      // joined them or not.
      value = value === undefined ? pair[1] : `${value}${name === "cookie" ? "; " : ", "}${pair[1]}`;
    }
    return value;
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

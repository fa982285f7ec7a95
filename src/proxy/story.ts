/** One request: its pool and the rules it began with, what a backend is told of it, where it has been. */

import type { PickRequest } from "../balancing/strategy.ts";
import type { Backend } from "../pool/backend.ts";
import type { ProxyError } from "../errors.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import type { Exchange } from "./exchange.ts";
import { type ForwardedRequest, forwardRequest } from "./headers.ts";
import type { RequestHead } from "./message.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { ForwarderParts, ForwardingRules, Route } from "./rules.ts";

/** Strategies get to see it as a `PickRequest`, sessions as a `StickyRequest`: no more than these say. */
export class Story implements PickRequest {
  readonly exchange: Exchange;
  // Of the configuration that was in force when the request began, whatever is reloaded meanwhile.
  readonly parts: ForwarderParts;
  readonly pool: PoolRuntime;
  readonly rules: ForwardingRules;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  readonly forwarded: ForwardedRequest;
  /** Why no backend may get it, if so. */
  readonly refusal: ProxyError | undefined;
  /** The backend that the client's session names, even if it can no longer serve. */
  session: Backend | undefined;
  /** The backends that were tried, in order; one that was lost and came back may be there twice. */
  readonly tried: Backend[] = [];
  /** How many of `tried` no longer keep the request from going there again. */
  #forgiven = 0;
  /** When it first waited for a lost backend, in milliseconds since the Unix epoch; 0: never. */
  heldSince = 0;
  /** Its place in the line while it waits. */
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

  /** The client's address, as `trustForwarded` yields it. */
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
      // As RFC 9110 §5.3 and RFC 9113 §8.2.3 join lines: the same value, whether the engine has joined them or not.
      value = value === undefined ? pair[1] : `${value}${name === "cookie" ? "; " : ", "}${pair[1]}`;
    }
    return value;
  }

  accepts(backend: Backend): boolean {
    return !this.hasTried(backend) && backend.hasRoomFor(this.ticket);
  }

  /** Whether the request was at this backend, and has not been forgiven since. */
  hasTried(backend: Backend): boolean {
    return this.tried.includes(backend, this.#forgiven);
  }

  /** All backends were lost: whichever comes back is as good as another that was not tried. */
  forgiveAll(): void {
    this.#forgiven = this.tried.length;
  }

  /** The session's backend while it may serve it: draining or of weight 0 it keeps its sessions, disabled or down not. */
  get sticksTo(): Backend | undefined {
    const backend = this.session;
    if (!backend?.inPool || !backend.usable || backend.state === "disabled") return undefined;
    return this.hasTried(backend) ? undefined : backend;
  }
}

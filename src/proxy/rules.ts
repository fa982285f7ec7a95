/** The rules for forwarding: one immutable snapshot for each configuration. A request keeps its snapshot to its end. */

import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { Limits } from "./exchange.ts";
import type { ForwardedTrust } from "./forwarded.ts";
import { dropsRequestTrailer, dropsResponseTrailer, type HeaderRules } from "./headers.ts";
import type { RandomHex } from "./ids.ts";
import type { RequestRecorder } from "./record.ts";

/** The settings that forwarding uses. */
export interface ForwardingRules {
  readonly requestHeaders: HeaderRules;
  readonly responseHeaders: HeaderRules;
  readonly maxRetries: number;
  readonly retryStatuses: ReadonlySet<number>;
  readonly limits: Limits;
}

/** The pool that requests go to, and the rules for them. */
export interface Route {
  readonly pool: PoolRuntime;
  readonly rules: ForwardingRules;
}

/** What a `Forwarder` uses with one configuration. */
export interface ForwarderParts {
  /** The only route: every request takes it. */
  readonly route: Route;
  /** Whose `X-Forwarded-*` headers are trusted. */
  readonly trust: ForwardedTrust;
  readonly recorder: RequestRecorder;
  readonly random: RandomHex;
  readonly log: Log;
}

/** Returns the rules of a configuration. */
export function forwardingRules({ proxy, headers, retries }: Config): ForwardingRules {
  const requestHeaders = headerRules(headers.request);
  const responseHeaders = headerRules(headers.response);
  return {
    requestHeaders,
    responseHeaders,
    maxRetries: retries.attempts,
    retryStatuses: new Set(retries.statuses),
    limits: {
      maxBodyBytes: proxy.maxBodyBytes ?? Infinity,
      dropsRequestTrailer: (name) => dropsRequestTrailer(name, requestHeaders),
      dropsResponseTrailer: (name) => dropsResponseTrailer(name, responseHeaders),
    },
  };
}

function headerRules({ set, remove }: Config["headers"]["request"]): HeaderRules {
  return {
    set: Object.entries(set).map(([name, value]) => [name.toLowerCase(), value]),
    remove: new Set(remove.map((name) => name.toLowerCase())),
  };
}

/** What requests are forwarded by: one immutable snapshot for each configuration, which a request keeps to its end. */

import type { LoadBalancer } from "../balancing/load_balancer.ts";
import type { Stickiness } from "../balancing/sticky.ts";
import type { Config } from "../config/schema.ts";
import type { FailureReports } from "../health/passive.ts";
import type { Log } from "../log.ts";
import type { PoolMemory } from "../memory/memory.ts";
import type { Limits } from "./exchange.ts";
import { ForwardedTrust } from "./forwarded.ts";
import { dropsRequestTrailer, dropsResponseTrailer, type HeaderRules } from "./headers.ts";
import type { RandomHex } from "./ids.ts";
import type { QueueLimits, RequestQueue } from "./queue.ts";
import type { RequestRecorder } from "./record.ts";

/** How requests are forwarded, in the configuration's terms. */
export interface ForwardingRules {
  readonly trust: ForwardedTrust;
  readonly requestHeaders: HeaderRules;
  readonly responseHeaders: HeaderRules;
  readonly maxRetries: number;
  readonly retryBudget: number;
  readonly retryStatuses: ReadonlySet<number>;
  readonly queue: QueueLimits;
  readonly limits: Limits;
}

/**
 * What a request is forwarded with: the rules, and what follows them. The pool behind it is live all the same: who is in
 * it, who is healthy and who has room.
 */
export interface ForwarderParts {
  readonly balancer: LoadBalancer;
  readonly shared: PoolMemory;
  readonly queue: RequestQueue;
  readonly recorder: RequestRecorder;
  /** `undefined`: clients do not stick. */
  readonly stickiness: Stickiness | undefined;
  readonly passive: FailureReports;
  readonly random: RandomHex;
  readonly rules: ForwardingRules;
  readonly log: Log;
  /** Seconds until an eligible backend may be back: for `Retry-After`. */
  readonly retryAfterSeconds: () => number;
}

/** Returns the rules that a configuration gives. */
export function forwardingRules({ proxy, headers, retries, queue }: Config): ForwardingRules {
  const requestHeaders = headerRules(headers.request);
  const responseHeaders = headerRules(headers.response);
  return {
    trust: new ForwardedTrust(proxy.trustForwarded),
    requestHeaders,
    responseHeaders,
    maxRetries: retries.attempts,
    retryBudget: retries.budget,
    retryStatuses: new Set(retries.statuses),
    queue,
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

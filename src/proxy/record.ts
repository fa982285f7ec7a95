/**
 * Records each request once, when it has ended: in the counts behind `/status` and `/metrics`, and in the access log.
 */

import { GuardRefusal } from "../errors.ts";
import type { Memory } from "../memory/memory.ts";
import type { PoolCounts } from "../memory/pool_counts.ts";
import type { MirrorResult, RequestMetrics, RetryReason } from "../memory/request_metrics.ts";
import type { RequestTotals } from "../memory/request_totals.ts";
import { NO_ROUTE, type RouteCounts } from "../memory/route_counts.ts";
import type { SlotUse } from "../memory/slots.ts";
import { turnEpoch, turnNow } from "../net/turn_clock.ts";
import type { AccessLog } from "./access_log.ts";
import type { Ending, FinishedRequest, RefusedRequest } from "./ending.ts";

/** What a `RequestRecorder` writes to. */
export interface RecorderParts {
  readonly memory: Pick<Memory, "requests" | "metrics" | "elsewhere" | "routes">;
  /** Where the entries of the configuration are counted, each at its number. */
  readonly routes: readonly SlotUse[];
  /** `undefined`: requests are not logged. */
  readonly accessLog: AccessLog | undefined;
}

/** Records the requests of one isolate. */
export class RequestRecorder {
  readonly #requests: RequestTotals;
  readonly #metrics: RequestMetrics;
  readonly #elsewhere: PoolCounts;
  readonly #routeCounts: RouteCounts;
  readonly #routes: readonly SlotUse[];
  readonly #accessLog: AccessLog | undefined;

  constructor({ memory, routes, accessLog }: RecorderParts) {
    this.#requests = memory.requests;
    this.#metrics = memory.metrics;
    this.#elsewhere = memory.elsewhere;
    this.#routeCounts = memory.routes;
    this.#routes = routes;
    this.#accessLog = accessLog;
  }

  started(): void {
    this.#requests.started();
  }

  /** Counts an attempt after the first. */
  retried(reason: RetryReason): void {
    this.#requests.countRetry();
    this.#metrics.countRetry(reason);
  }

  /** Counts a request that was to be mirrored. */
  mirrored(result: MirrorResult): void {
    this.#metrics.countMirrored(result);
  }

  /** Records a request that has ended. Call it once for each that has started. */
  ended(finished: FinishedRequest, ending: Ending): void {
    const { session, bytesIn } = finished;
    const { status, backend, bytesOut, failure } = ending;
    const durationMs = turnNow() - finished.startedAt;
    this.#metrics.countRequest({ backend, status, durationMs, bytesIn, bytesOut });
    if (failure !== undefined) this.#metrics.countError(failure.code);
    if (session !== undefined && backend !== undefined) this.#metrics.countSticky(backend === session);
    const failed = isFailed(ending);
    if (failed) this.#requests.countFailed();
    (finished.pool?.counts ?? this.#elsewhere).count(status, failed);
    const route = finished.route === undefined ? undefined : this.#routes[finished.route.number];
    if (route !== undefined) this.#routeCounts.count(route, { status, failed, durationMs }, turnEpoch());
    if (finished.isOverLimit) this.#routeCounts.countOverLimit(route ?? NO_ROUTE);
    if (failure instanceof GuardRefusal) this.#routeCounts.countRefusal(route ?? NO_ROUTE, failure.guard);
    this.#accessLog?.ended(finished, ending, durationMs);
    this.#requests.ended();
  }

  /** Records a request that was refused before its head could be read. */
  refused(request: RefusedRequest): void {
    const { status, bytesOut, failure } = request;
    this.#requests.started();
    this.#metrics.countRequest({ backend: undefined, status, durationMs: 0, bytesIn: 0, bytesOut });
    this.#metrics.countError(failure.code);
    this.#elsewhere.count(status, false);
    this.#accessLog?.refused(request);
    this.#requests.ended();
  }
}

/** Whether roundhouse itself answered with 5xx, or had to cut the answer. It is not a failure if the client left. */
function isFailed({ status, backend, failure }: Ending): boolean {
  // A route may say itself that the answer is 503, and a guard does what it is there for.
  if (failure === undefined || failure instanceof GuardRefusal) return false;
  return backend === undefined ? status >= 500 : failure.side !== "client";
}

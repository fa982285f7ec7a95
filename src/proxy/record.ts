/**
 * Records each request once, when it has ended: in the counts behind `/status` and `/metrics`, and in the access log.
 */

import type { ProxyError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { Memory } from "../memory/memory.ts";
import type { RequestMetrics, RetryReason } from "../memory/request_metrics.ts";
import type { RequestTotals } from "../memory/request_totals.ts";
import type { ForwardedRequest } from "./headers.ts";
import type { RequestHead } from "./message.ts";
import type { RouteIdentity } from "../routing/routes.ts";

/** How a request ended. */
export interface Ending {
  /** The status that the client got; 499 if the client left before it got one. */
  readonly status: number;
  /** The backend that answered; `undefined`: roundhouse did. */
  readonly backend: Backend | undefined;
  /** Bytes of the body that were sent to the client; `null`: not known. */
  readonly bytesOut: number | null;
  /** What went wrong, before the answer or in the middle of it; `undefined`: nothing. */
  readonly failure: ProxyError | undefined;
}

/** A request that has ended. */
export interface FinishedRequest {
  readonly request: RequestHead;
  readonly forwarded: ForwardedRequest;
  /** The route that decided about it; `undefined`: none did. */
  readonly route: RouteIdentity | undefined;
  /** The pool that it went to; `undefined`: none. */
  readonly pool: { readonly name: string } | undefined;
  /** The backends that were tried, in order. */
  readonly tried: readonly Backend[];
  /** The backend that the client's session named. */
  readonly session: Backend | undefined;
  /** Bytes of the body that came from the client; `null`: not known. */
  readonly bytesIn: number | null;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

/** A request that was refused before its head could be read. */
export interface RefusedRequest extends Omit<Ending, "backend"> {
  readonly requestId: string;
  /** The address at the other end of the connection. */
  readonly client: string;
  readonly failure: ProxyError;
}

/** What a `RequestRecorder` writes to. */
export interface RecorderParts {
  readonly memory: Pick<Memory, "requests" | "metrics">;
  /** `undefined`: requests are not logged. */
  readonly accessLog: Log | undefined;
}

/** Records the requests of one isolate. */
export class RequestRecorder {
  readonly #requests: RequestTotals;
  readonly #metrics: RequestMetrics;
  readonly #accessLog: Log | undefined;

  constructor({ memory, accessLog }: RecorderParts) {
    this.#requests = memory.requests;
    this.#metrics = memory.metrics;
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

  /** Records a request that has ended. Call it once for each that has started. */
  ended(finished: FinishedRequest, ending: Ending): void {
    const { session, bytesIn } = finished;
    const { status, backend, bytesOut, failure } = ending;
    const durationMs = performance.now() - finished.startedAt;
    this.#metrics.countRequest({ backend, status, durationMs, bytesIn, bytesOut });
    if (failure !== undefined) this.#metrics.countError(failure.code);
    if (session !== undefined && backend !== undefined) this.#metrics.countSticky(backend === session);
    if (isFailed(ending)) this.#requests.countFailed();
    if (this.#accessLog !== undefined) this.#accessLog.info("request", accessFields(finished, ending, durationMs));
    this.#requests.ended();
  }

  /** Records a request that was refused before its head could be read. */
  refused({ requestId, client, status, bytesOut, failure }: RefusedRequest): void {
    this.#requests.started();
    this.#metrics.countRequest({ backend: undefined, status, durationMs: 0, bytesIn: 0, bytesOut });
    this.#metrics.countError(failure.code);
    this.#accessLog?.info("request", {
      requestId,
      client,
      method: null,
      path: null,
      status,
      backend: null,
      attempts: 0,
      durationMs: 0,
      bytesIn: 0,
      bytesOut,
      traceId: null,
      route: null,
      pool: null,
      error: failure.code,
    });
    this.#requests.ended();
  }
}

/** Whether roundhouse itself answered with 5xx, or had to cut the answer. It is not a failure if the client left. */
function isFailed({ status, backend, failure }: Ending): boolean {
  if (failure === undefined) return false; // also where a route says itself that the answer is 503
  return backend === undefined ? status >= 500 : failure.side !== "client";
}

/**
 * The fields of a line in the access log. Header values and the query are left out, because they may contain secrets.
 */
function accessFields(
  { request, forwarded, route, pool, tried, bytesIn }: FinishedRequest,
  { status, backend, bytesOut, failure }: Ending,
  durationMs: number,
) {
  return {
    requestId: forwarded.requestId,
    client: forwarded.client,
    method: request.method,
    path: pathOf(request.target),
    status,
    backend: backend?.url ?? null,
    attempts: tried.length,
    durationMs: Math.round(durationMs * 1000) / 1000,
    bytesIn,
    bytesOut,
    traceId: forwarded.traceId,
    route: route?.label ?? null,
    pool: pool?.name ?? null,
    ...failure && { error: failure.code },
  };
}

function pathOf(target: string): string {
  for (let index = 0; index < target.length; index++) {
    const code = target.charCodeAt(index);
    if (code === 0x3f || code === 0x23) return target.slice(0, index); // "?" or "#"
  }
  return target;
}

/** What became of each request, told once at its end: to the counts behind `/status` and `/metrics`, and to the access log. */

import type { ProxyError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Backend } from "../pool/backend.ts";
import type { Memory } from "../memory/memory.ts";
import type { RequestMetrics, RetryReason } from "../memory/request_metrics.ts";
import type { RequestTotals } from "../memory/request_totals.ts";
import type { ForwardedRequest } from "./headers.ts";
import type { RequestHead } from "./message.ts";

/** How a request ended. */
export interface Ending {
  /** As the client was told it; 499 where the client left before it could be told anything. */
  readonly status: number;
  /** Whose answer it was; `undefined`: roundhouse's own. */
  readonly backend: Backend | undefined;
  /** Of the body that went to the client; `null`: not known. */
  readonly bytesOut: number | null;
  /** What went wrong, if something did: before the answer, or in the middle of it. */
  readonly failure: ProxyError | undefined;
}

/** A request at its end, and how it came there. */
export interface FinishedRequest {
  readonly request: RequestHead;
  readonly forwarded: ForwardedRequest;
  /** The backends that were tried, in order. */
  readonly tried: readonly Backend[];
  /** The backend that the client's session named. */
  readonly session: Backend | undefined;
  /** Of the body that came from the client; `null`: not known. */
  readonly bytesIn: number | null;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

/** What was refused before it could be read as a request. */
export interface RefusedRequest extends Omit<Ending, "backend"> {
  readonly requestId: string;
  /** The address at the other end of the connection. */
  readonly client: string;
  readonly failure: ProxyError;
}

/** What a `RequestRecorder` feeds. */
export interface RecorderParts {
  readonly memory: Pick<Memory, "requests" | "metrics">;
  /** `undefined`: requests are not logged. */
  readonly accessLog: Log | undefined;
}

/** Told what happens to the requests of one isolate. */
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

  /** It goes to another backend. */
  retried(reason: RetryReason): void {
    this.#requests.countRetry();
    this.#metrics.countRetry(reason);
  }

  /** Nothing is left of it. To be called once for each that started. */
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

  /** It was refused before it could be read: there is nothing to be told but that. */
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
      error: failure.code,
    });
    this.#requests.ended();
  }
}

/** Whether roundhouse itself answered with 5xx, or had to cut the answer. A client that left is nobody's failure. */
function isFailed({ status, backend, failure }: Ending): boolean {
  return backend === undefined ? status >= 500 : failure !== undefined && failure.side !== "client";
}

/** The fields of an access log line. No header value and no query: those may hold secrets. */
function accessFields(
  { request, forwarded, tried, bytesIn }: FinishedRequest,
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

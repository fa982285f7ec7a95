/** The access log: a line for each request when it has ended. */

import { GuardRefusal } from "../errors.ts";
import type { Log } from "../log.ts";
import { REQUEST } from "../log_format.ts";
import type { Ending, FinishedRequest, RefusedRequest } from "./ending.ts";
import type { HeaderPair } from "./message.ts";

/** Logs the requests of one isolate. */
export class AccessLog {
  readonly #log: Log;
  readonly #withReferer: boolean;

  /** `"combined"`: lines have what the Combined Log Format needs besides. */
  constructor(log: Log, access: true | "combined") {
    this.#log = log;
    this.#withReferer = access === "combined";
  }

  /**
   * Header values are left out but for the host and the user agent, and so are queries, because they may contain
   * secrets.
   */
  ended(
    { request, forwarded, route, pool, tried, bytesIn }: FinishedRequest,
    ending: Ending,
    durationMs: number,
  ): void {
    const { status, backend, bytesOut, failure } = ending;
    this.#log.info(REQUEST, {
      requestId: forwarded.requestId,
      client: forwarded.client,
      method: request.method,
      path: withoutQuery(request.target),
      status,
      backend: backend?.url ?? null,
      attempts: tried.length,
      durationMs: Math.round(durationMs * 1000) / 1000,
      bytesIn,
      bytesOut,
      host: request.authority ?? null,
      userAgent: valueOf(request.headers, "user-agent"),
      protocol: request.protocol,
      traceId: forwarded.traceId,
      route: route?.label ?? null,
      pool: pool?.name ?? null,
      ...this.#withReferer && { referer: withoutQuery(valueOf(request.headers, "referer")) },
      ...failure && { error: failure.code },
      ...failure instanceof GuardRefusal && { refusedBy: failure.guard },
    });
  }

  /** Logs a request that was refused before its head could be read. */
  refused({ requestId, client, status, bytesOut, failure }: RefusedRequest): void {
    this.#log.info(REQUEST, {
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
      host: null,
      userAgent: null,
      protocol: null,
      traceId: null,
      route: null,
      pool: null,
      error: failure.code,
    });
  }
}

/** The first value of a header; `null`: it is not there. */
function valueOf(headers: readonly HeaderPair[], name: string): string | null {
  for (const pair of headers) {
    if (pair[0].length === name.length && pair[0].toLowerCase() === name) return pair[1];
  }
  return null;
}

function withoutQuery<T extends string | null>(target: T): string | T {
  if (target === null) return target;
  for (let index = 0; index < target.length; index++) {
    const code = target.charCodeAt(index);
    if (code === 0x3f || code === 0x23) return target.slice(0, index); // "?" or "#"
  }
  return target;
}

/** The one vocabulary of what can go wrong with a request. Imports nothing of ours. */

/** What can happen. `problem.ts` maps each to an answer, `retry.ts` decides whether another backend may be tried. */
export const ERROR_CODES = [
  "bad_request", // the request is malformed: 400
  "method_not_allowed", // CONNECT and TRACE: 405
  "head_too_large", // over `proxy.maxHeaderSize` or 128 fields: 431
  "head_timeout", // the client took too long to send a request's head: 408
  "body_timeout", // the client's body has stood still for `timeouts.idle`: 408
  "body_too_large", // over `proxy.maxBodySize`: 413
  "not_implemented", // the engine can't carry such a request: 501
  "no_backend", // none is eligible: 503
  "queue_full", // all eligible backends are at `maxConnections` and no place in the queue came free: 503
  "stopping", // roundhouse is shutting down: 503
  "connect_failed", // refused, reset or timed out while connecting: 502
  "connection_lost", // gone after something was sent, before the first response byte: 502
  "malformed_response", // not HTTP, or not HTTP that may be passed on: 502
  "response_timeout", // no response head within `timeouts.response`: 504
  "idle_timeout", // a response body has stood still for `timeouts.idle`: the client is cut
  "request_timeout", // total time over `timeouts.request`: 504
  "client_gone", // the client left: no answer can reach it
  "internal", // a bug of ours, or the system has no more to give: 500
] as const;

/** What happened. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Who is to blame: only `backend` counts against a backend. */
export type Side = "client" | "backend" | "proxy";

export interface ProxyErrorOptions extends ErrorOptions {
  readonly code: ErrorCode;
  readonly side: Side;
  /** `false`: nothing reached the backend, so another one may be tried whatever the method. */
  readonly requestSent: boolean;
}

/** A request's failure, wrapped once at the edge that understands it. `cause` keeps the runtime's own error. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code: ErrorCode;
  readonly side: Side;
  readonly requestSent: boolean;

  constructor(message: string, options: ProxyErrorOptions) {
    super(message, options);
    this.code = options.code;
    this.side = options.side;
    this.requestSent = options.requestSent;
  }
}

/** A mistake of the person who starts or configures roundhouse: each line names the place and what was expected. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly lines: readonly string[];

  constructor(lines: readonly string[], options?: ErrorOptions) {
    super(lines.join("\n"), options);
    this.lines = lines;
  }
}

/** Wrong use of the command line; the program exits with status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The message of whatever was thrown, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

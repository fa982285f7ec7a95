/** The errors of requests. Imports no other module of roundhouse. */

/** All kinds of failure. `problem.ts` maps each to a response; `retry.ts` decides whether another backend is tried. */
export const ERROR_CODES = [
  "bad_request", // the request is malformed: 400
  "no_route", // no route takes the request: 404
  "rate_limited", // over `rateLimit`: 429
  "concurrency_limited", // over `concurrency`: 503
  "unauthorized", // `auth` refuses: 401, or the answer of the server that it has asked
  "auth_unavailable", // `auth` could not find out: 503
  "method_not_allowed", // CONNECT and TRACE: 405
  "denied", // `deny` or `allow` of the route or of all: 403
  "head_too_large", // over `proxy.maxHeaderSize` or 128 fields: 431
  "head_timeout", // the client took too long to send a request's head: 408
  "body_timeout", // the client's body has stood still for `timeouts.idle`: 408
  "body_too_large", // over `proxy.maxBodySize`: 413
  "not_implemented", // the engine can't carry such a request: 501
  "no_backend", // no backend is eligible: 503
  "queue_full", // all eligible backends are at `maxConnections`, and the queue is full or the wait was too long: 503
  "stopping", // roundhouse is shutting down: 503
  "connect_failed", // refused, reset or timed out while connecting: 502
  "connection_lost", // gone after something was sent, before the first response byte: 502
  "malformed_response", // not HTTP, or not HTTP that may be passed on: 502
  "response_timeout", // no response head within `timeouts.response`: 504
  "idle_timeout", // a response body has stood still for `timeouts.idle`: the client is cut
  "request_timeout", // total time over `timeouts.request`: 504
  "client_gone", // the client left: no answer can reach it
  "internal", // a bug, or file descriptors, memory or ports have run out here: 500
] as const;

/** What happened. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Whose failure it is. Only `backend` counts against a backend. */
export type Side = "client" | "backend" | "proxy";

export interface ProxyErrorOptions extends ErrorOptions {
  readonly code: ErrorCode;
  readonly side: Side;
  /** `false`: nothing reached the backend, so another one may be tried whatever the method. */
  readonly requestSent: boolean;
}

/** The failure of a request, made where the runtime's error is understood. `cause` is the runtime's error. */
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

/**
 * The guards that may stand before a route, by the names of their settings and in the order in which they are asked.
 * `src/guards/` has what each name stands for.
 */
export const GUARD_NAMES = ["deny", "allow", "rateLimit", "concurrency", "auth"] as const;
export type GuardName = (typeof GUARD_NAMES)[number];

/** A whole answer that a guard has for the client, without `Content-Length` and headers of a connection. */
export interface GuardAnswer {
  readonly status: number;
  /** The reason phrase. */
  readonly title: string;
  readonly headers: readonly [name: string, value: string][];
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface GuardRefusalOptions extends ErrorOptions {
  /** After how many seconds the client may try again. Default: that would come to the same. */
  readonly retryAfterSeconds?: number;
  /** What the client gets. Default: a problem, as the code says. */
  readonly answer?: GuardAnswer;
}

/** A guard refuses the request. That is its purpose, so it counts as nobody's failure. */
export class GuardRefusal extends ProxyError {
  readonly guard: GuardName;
  readonly retryAfterSeconds: number | undefined;
  readonly answer: GuardAnswer | undefined;

  constructor(guard: GuardName, code: ErrorCode, message: string, options: GuardRefusalOptions = {}) {
    super(message, { code, side: "client", requestSent: false, cause: options.cause });
    this.guard = guard;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.answer = options.answer;
  }
}

/** A mistake in the configuration or at the start. Each line names the setting and what is expected. */
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

/** The message of a thrown value, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** All failures of a request, each with its code, its side, and whether the request was sent. */

import { type GuardName, GuardRefusal, type GuardRefusalOptions, ProxyError } from "./errors.ts";

// --- The client's side: these never count against a backend -----------------------------------------------------

/** The client left. */
export function clientGone(): ProxyError {
  return new ProxyError("the client left", { code: "client_gone", side: "client", requestSent: true });
}

/** A request that is not forwarded. The client is told `detail`. */
export function refused(
  code: "bad_request" | "method_not_allowed" | "head_too_large" | "head_timeout" | "body_too_large" | "not_implemented",
  detail: string,
): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

/** No route takes the request. */
export function noRoute(): ProxyError {
  return new ProxyError("no route takes the request", { code: "no_route", side: "client", requestSent: false });
}

/** The client's address is in `deny`, or not in `allow`. */
export function denied(guard: GuardName): GuardRefusal {
  return new GuardRefusal(guard, "denied", "the client's address is not allowed");
}

/** @param retryAfterSeconds until another request is allowed: whole seconds, at least 1 */
export function rateLimited(retryAfterSeconds: number): GuardRefusal {
  return new GuardRefusal("rateLimit", "rate_limited", "over the limit of requests", { retryAfterSeconds });
}

/** As many requests as `concurrency` allows have not ended. */
export function tooManyAtOnce(): GuardRefusal {
  return new GuardRefusal("concurrency", "concurrency_limited", "too many requests at a time", {
    retryAfterSeconds: 1,
  });
}

/**
 * The client has not proved who it is.
 *
 * @param options `answer`: what the client gets in place of a problem with status 401
 */
export function unauthorized(reason: string, options: Pick<GuardRefusalOptions, "answer"> = {}): GuardRefusal {
  return new GuardRefusal("auth", "unauthorized", reason, options);
}

/** Nobody knows whether the client is allowed. */
export function authUnavailable(reason: string, cause?: unknown): GuardRefusal {
  return new GuardRefusal("auth", "auth_unavailable", reason, { retryAfterSeconds: 1, cause });
}

export function methodNotAllowed(method: string): ProxyError {
  return refused("method_not_allowed", `${method} is not supported.`);
}

export function hostMissing(): ProxyError {
  return refused("bad_request", "The Host header is missing.");
}

/** The request's body exceeds `proxy.maxBodySize`, by its length or while it arrives. */
export function bodyTooLarge(maxBodyBytes: number): ProxyError {
  return refused("body_too_large", `The request body is larger than ${maxBodyBytes} bytes.`);
}

/** @param detail what is wrong with the body; `undefined`: the engine can't know */
export function bodyMalformed(detail?: string): ProxyError {
  const message = `The request body is malformed${detail === undefined ? "" : `: ${detail}`}.`;
  return new ProxyError(message, { code: "bad_request", side: "client", requestSent: true });
}

/** No byte of the client's body arrived within `timeouts.idle`. */
export function bodyTimeout(): ProxyError {
  const message = "The request body did not arrive in time.";
  return new ProxyError(message, { code: "body_timeout", side: "client", requestSent: true });
}

/** The proxy accepts no more requests. */
export function stopping(): ProxyError {
  return new ProxyError("The proxy is shutting down.", { code: "stopping", side: "client", requestSent: false });
}

// --- The backend's side: these count against it -----------------------------------------------------------------

/** No connection could be made, so nothing was sent. */
export function connectFailed(reason: string): ProxyError {
  return new ProxyError(reason, { code: "connect_failed", side: "backend", requestSent: false });
}

/**
 * No connection was made within `timeouts.connect`.
 *
 * @param requestSent whether the request may have been sent nevertheless: some engines can't know
 */
export function connectTimeout(requestSent: boolean): ProxyError {
  return new ProxyError("timed out", { code: "connect_failed", side: "backend", requestSent });
}

/**
 * The connection was lost while a request was on it.
 *
 * @param side `proxy`, if the backend may have done nothing wrong
 */
export function connectionLost(reason: string, side: "backend" | "proxy" = "backend"): ProxyError {
  return new ProxyError(reason, { code: "connection_lost", side, requestSent: true });
}

/** An answer that can't be forwarded. */
export function malformedResponse(detail: string): ProxyError {
  const message = `malformed response: ${detail}`;
  return new ProxyError(message, { code: "malformed_response", side: "backend", requestSent: true });
}

/** No response head arrived within `timeouts.response`. */
export function responseTimeout(): ProxyError {
  return new ProxyError("no response in time", { code: "response_timeout", side: "backend", requestSent: true });
}

/** No byte of the response arrived within `timeouts.idle`. */
export function idleTimeout(): ProxyError {
  const message = "no byte of the response within timeouts.idle";
  return new ProxyError(message, { code: "idle_timeout", side: "backend", requestSent: true });
}

// --- Our own side ------------------------------------------------------------------------------------------------

/** The request took longer than `timeouts.request`. */
export function requestTimeout(): ProxyError {
  return new ProxyError("timeouts.request has passed", { code: "request_timeout", side: "proxy", requestSent: true });
}

export function noBackend(): ProxyError {
  return new ProxyError("no backend is eligible", { code: "no_backend", side: "proxy", requestSent: false });
}

/** All backends are full, and the wait in the queue has ended or could not begin. */
export function queueFull(reason: string): ProxyError {
  return new ProxyError(reason, { code: "queue_full", side: "proxy", requestSent: false });
}

/** This process or the system has no file descriptor, port or memory left for a connection. */
export function exhausted(cause: unknown): ProxyError {
  return new ProxyError("no connection", { code: "internal", side: "proxy", requestSent: false, cause });
}

/** A bug in roundhouse. */
export function unexpected(cause: unknown): ProxyError {
  return new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause });
}

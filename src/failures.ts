/** What can go wrong with a request, each failure in one place: its code, whose side it is, whether anything was sent. */

import { ProxyError } from "./errors.ts";

// --- The client's side: no backend has a part in it ------------------------------------------------------------

/** The client left. */
export function clientGone(): ProxyError {
  return new ProxyError("the client left", { code: "client_gone", side: "client", requestSent: true });
}

/** A request that no backend may get, and why: the client is told `detail`. */
export function refused(
  code: "bad_request" | "method_not_allowed" | "head_too_large" | "head_timeout" | "body_too_large" | "not_implemented",
  detail: string,
): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

export function methodNotAllowed(method: string): ProxyError {
  return refused("method_not_allowed", `${method} is not supported.`);
}

export function hostMissing(): ProxyError {
  return refused("bad_request", "The Host header is missing.");
}

/** The request's body is over `proxy.maxBodySize`, by its length or as it arrives. */
export function bodyTooLarge(maxBodyBytes: number): ProxyError {
  return refused("body_too_large", `The request body is larger than ${maxBodyBytes} bytes.`);
}

/** @param detail what is wrong with it; `undefined`: the engine can't know */
export function bodyMalformed(detail?: string): ProxyError {
  const message = `The request body is malformed${detail === undefined ? "" : `: ${detail}`}.`;
  return new ProxyError(message, { code: "bad_request", side: "client", requestSent: true });
}

/** The client's body has stood still for `timeouts.idle`. */
export function bodyTimeout(): ProxyError {
  const message = "The request body did not arrive in time.";
  return new ProxyError(message, { code: "body_timeout", side: "client", requestSent: true });
}

/** The proxy takes no more requests. */
export function stopping(): ProxyError {
  return new ProxyError("The proxy is shutting down.", { code: "stopping", side: "client", requestSent: false });
}

// --- The backend's side: each counts against it -----------------------------------------------------------------

/** No connection could be made, so nothing was sent. */
export function connectFailed(reason: string): ProxyError {
  return new ProxyError(reason, { code: "connect_failed", side: "backend", requestSent: false });
}

/**
 * No connection within `timeouts.connect`.
 *
 * @param requestSent whether the request may have gone out all the same: some engines can't know
 */
export function connectTimeout(requestSent: boolean): ProxyError {
  return new ProxyError("timed out", { code: "connect_failed", side: "backend", requestSent });
}

/**
 * The connection was lost with a request on it.
 *
 * @param side `proxy` where the backend may have done nothing wrong
 */
export function connectionLost(reason: string, side: "backend" | "proxy" = "backend"): ProxyError {
  return new ProxyError(reason, { code: "connection_lost", side, requestSent: true });
}

/** An answer that may not be passed on. */
export function malformedResponse(detail: string): ProxyError {
  const message = `malformed response: ${detail}`;
  return new ProxyError(message, { code: "malformed_response", side: "backend", requestSent: true });
}

/** No response head within `timeouts.response`. */
export function responseTimeout(): ProxyError {
  return new ProxyError("no response in time", { code: "response_timeout", side: "backend", requestSent: true });
}

/** A response's body has stood still for `timeouts.idle`. */
export function idleTimeout(): ProxyError {
  const message = "no byte of the response within timeouts.idle";
  return new ProxyError(message, { code: "idle_timeout", side: "backend", requestSent: true });
}

// --- Our own side ------------------------------------------------------------------------------------------------

/** The request has taken longer than `timeouts.request`. */
export function requestTimeout(): ProxyError {
  return new ProxyError("timeouts.request has passed", { code: "request_timeout", side: "proxy", requestSent: true });
}

export function noBackend(): ProxyError {
  return new ProxyError("no backend is eligible", { code: "no_backend", side: "proxy", requestSent: false });
}

/** All backends are full, and the wait for one has ended or could not begin. */
export function queueFull(reason: string): ProxyError {
  return new ProxyError(reason, { code: "queue_full", side: "proxy", requestSent: false });
}

/** This process or the system has no descriptor, port or memory left for a connection. */
export function exhausted(cause: unknown): ProxyError {
  return new ProxyError("no connection", { code: "internal", side: "proxy", requestSent: false, cause });
}

/** A bug of ours. */
export function unexpected(cause: unknown): ProxyError {
  return new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause });
}

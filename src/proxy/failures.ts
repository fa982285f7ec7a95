/** What can go wrong with a request, each failure in one place: its code, whose side it is, whether it was sent. */

import { ProxyError } from "../errors.ts";

/** The client left: nobody's failure. */
export function clientGone(): ProxyError {
  return new ProxyError("the client left", { code: "client_gone", side: "client", requestSent: true });
}

/** The request's body is over `proxy.maxBodySize`, by its length or as it arrives. */
export function bodyTooLarge(maxBodyBytes: number): ProxyError {
  return refused("body_too_large", `The request body is larger than ${maxBodyBytes} bytes.`);
}

/** The client's mistake, found before a backend was chosen. */
export function refused(code: "bad_request" | "method_not_allowed" | "body_too_large", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: false });
}

export function noBackend(): ProxyError {
  return new ProxyError("no backend is eligible", { code: "no_backend", side: "proxy", requestSent: false });
}

/** A bug of ours. */
export function unexpected(cause: unknown): ProxyError {
  return new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause });
}

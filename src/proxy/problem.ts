/** Turns a failure into the answer that the client gets (RFC 9457). This happens nowhere else. */

import type { ErrorCode, ProxyError } from "../errors.ts";
import type { OwnAnswer } from "./exchange.ts";
import type { HeaderPair } from "./message.ts";

/** The status of a request whose client left before it was answered. It appears in counts and logs only. */
export const CLIENT_GONE = 499;

/** The answer to a request that failed. */
export interface Problem extends OwnAnswer {
  /** `application/problem+json`. Names no backend. */
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly title: string;
  /** `undefined`: use the message of the error, which contains only what the client sent. */
  readonly detail?: string;
}

const ANSWERS: Readonly<Record<ErrorCode, Answer>> = {
  bad_request: { status: 400, title: "Bad Request" },
  no_route: { status: 404, title: "Not Found", detail: "No route takes this request." },
  denied: { status: 403, title: "Forbidden", detail: "Requests from this address are not allowed." },
  rate_limited: { status: 429, title: "Too Many Requests", detail: "There were too many requests." },
  concurrency_limited: {
    status: 503,
    title: "Service Unavailable",
    detail: "Too many requests are being served at the moment.",
  },
  unauthorized: { status: 401, title: "Unauthorized", detail: "A valid user name and password are needed." },
  auth_unavailable: {
    status: 503,
    title: "Service Unavailable",
    detail: "It could not be found out whether this request is allowed.",
  },
  method_not_allowed: { status: 405, title: "Method Not Allowed" },
  head_timeout: { status: 408, title: "Request Timeout" },
  body_timeout: { status: 408, title: "Request Timeout" },
  body_too_large: { status: 413, title: "Content Too Large" },
  head_too_large: { status: 431, title: "Request Header Fields Too Large" },
  client_gone: { status: CLIENT_GONE, title: "Client Closed Request", detail: "The client left before the response." },
  internal: { status: 500, title: "Internal Server Error", detail: "The proxy failed to handle this request." },
  not_implemented: { status: 501, title: "Not Implemented" },
  connect_failed: { status: 502, title: "Bad Gateway", detail: "No connection to a backend could be made." },
  connection_lost: {
    status: 502,
    title: "Bad Gateway",
    detail: "The backend closed the connection before its response.",
  },
  malformed_response: { status: 502, title: "Bad Gateway", detail: "The response of the backend was not valid HTTP." },
  no_backend: { status: 503, title: "Service Unavailable", detail: "No backend is available." },
  queue_full: { status: 503, title: "Service Unavailable", detail: "All backends are busy." },
  stopping: { status: 503, title: "Service Unavailable", detail: "The proxy is shutting down." },
  response_timeout: { status: 504, title: "Gateway Timeout", detail: "The backend did not answer in time." },
  idle_timeout: { status: 504, title: "Gateway Timeout", detail: "The backend stopped in the middle of its response." },
  request_timeout: { status: 504, title: "Gateway Timeout", detail: "The request took too long." },
};

/**
 * Returns the answer for a failed request.
 *
 * @param retryAfterSeconds after how long a client that gets 429 or 503 may try again: whole seconds, at least 1
 */
export function problemFor(error: ProxyError, requestId: string, retryAfterSeconds: number): Problem {
  const answer = ANSWERS[error.code];
  const body = JSON.stringify({
    type: "about:blank",
    title: answer.title,
    status: answer.status,
    detail: answer.detail ?? error.message,
    requestId,
  });
  const headers: HeaderPair[] = [["content-type", "application/problem+json"], ["x-request-id", requestId]];
  if (answer.status === 429 || answer.status === 503) headers.push(["retry-after", String(retryAfterSeconds)]);
  if (error.code === "stopping" || error.code === "body_too_large") headers.push(["connection", "close"]);
  if (error.code === "method_not_allowed") {
    headers.push(["allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
  }
  return { status: answer.status, title: answer.title, headers, body };
}

/** Whether the answer to this error is a 5xx. */
export function isServerFailure(error: ProxyError): boolean {
  return ANSWERS[error.code].status >= 500;
}

/** What a failure tells the client: the one place where an error becomes an answer (RFC 9457). */

import type { ErrorCode, ProxyError } from "../errors.ts";
import type { HeaderPair } from "./message.ts";

/** The status of a request whose client left before it was answered, for counts and logs: nobody gets to see it. */
export const CLIENT_GONE = 499;

/** An answer that roundhouse makes itself. */
export interface Problem {
  readonly status: number;
  /** The status in words. */
  readonly title: string;
  readonly headers: readonly HeaderPair[];
  /** `application/problem+json`. Names no backend. */
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly title: string;
  /** `undefined`: the error's own message, which names nothing but what the client sent. */
  readonly detail?: string;
}

const ANSWERS: Readonly<Record<ErrorCode, Answer>> = {
  bad_request: { status: 400, title: "Bad Request" },
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
 * @param retryAfterSeconds when a client that gets 503 may try again: whole seconds, at least 1
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
  if (answer.status === 503) headers.push(["retry-after", String(retryAfterSeconds)]);
  if (error.code === "stopping" || error.code === "body_too_large") headers.push(["connection", "close"]);
  if (error.code === "method_not_allowed") {
    headers.push(["allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]);
  }
  return { status: answer.status, title: answer.title, headers, body };
}

/** Whether the answer to this error counts as one of roundhouse's own failures. */
export function isServerFailure(error: ProxyError): boolean {
  return ANSWERS[error.code].status >= 500;
}

/** What broke an exchange off: told apart by whose fault it was, and put into the one error vocabulary. */

import { ProxyError } from "../../errors.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import { bodyTooLarge, clientGone } from "../../proxy/failures.ts";
import type { UploadFault } from "./upload.ts";

/** Why an exchange was broken off from this side, if it was. */
export type Cancelled = UploadFault | "body_timeout" | "idle_timeout" | "request_timeout";

/** Why an attempt was given up, if it was: another may follow. */
export type GivenUp = "connect_timeout" | "response_timeout";

/** The connection to the backend ended before a byte of an answer. */
export class NoAnswer extends Error {}

/** It ended within an answer's body. */
export class ResponseBroken extends Error {}

/**
 * Wraps whatever ended an exchange or an attempt. What was broken off from this side is looked for first: it makes the
 * backend's connection fail, too.
 */
export function explain(
  error: unknown,
  cancelled: Cancelled | undefined,
  givenUp: GivenUp | undefined,
  detail: string,
): ProxyError {
  switch (cancelled) {
    case "client_gone":
      return clientGone();
    case "malformed":
      return clientError("bad_request", `The request body is malformed: ${detail}.`);
    case "too_large":
      return bodyTooLarge(Number(detail));
    case "body_timeout":
      return clientError("body_timeout", "The request body did not arrive in time.");
    case "request_timeout":
      return new ProxyError("timeouts.request has passed", {
        code: "request_timeout",
        side: "proxy",
        requestSent: true,
      });
    case "idle_timeout":
      return backendError("idle_timeout", "no byte of the response within timeouts.idle");
  }
  switch (givenUp) {
    case "connect_timeout":
      return new ProxyError("timed out", { code: "connect_failed", side: "backend", requestSent: false });
    case "response_timeout":
      return backendError("response_timeout", "no response in time");
    case undefined:
      return fromBackend(error);
  }
}

function fromBackend(error: unknown): ProxyError {
  if (error instanceof MalformedMessage) {
    return backendError("malformed_response", `malformed response: ${error.message}`);
  }
  if (error instanceof NoAnswer) return backendError("connection_lost", "connection lost before the response");
  if (error instanceof ResponseBroken) return backendError("connection_lost", "the response broke off");
  if (error instanceof ProxyError) return error;
  return new ProxyError("unexpected error", { code: "internal", side: "proxy", requestSent: true, cause: error });
}

function backendError(
  code: "malformed_response" | "connection_lost" | "response_timeout" | "idle_timeout",
  text: string,
): ProxyError {
  return new ProxyError(text, { code, side: "backend", requestSent: true });
}

function clientError(code: "bad_request" | "body_timeout", detail: string): ProxyError {
  return new ProxyError(detail, { code, side: "client", requestSent: true });
}

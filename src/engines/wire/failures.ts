/** What broke an exchange off: told apart by whose fault it was, and put into the one error vocabulary. */

import { ProxyError } from "../../errors.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import {
  bodyMalformed,
  bodyTimeout,
  bodyTooLarge,
  clientGone,
  connectionLost,
  connectTimeout,
  idleTimeout,
  malformedResponse,
  requestTimeout,
  responseTimeout,
  unexpected,
} from "../../failures.ts";
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
      return bodyMalformed(detail);
    case "too_large":
      return bodyTooLarge(Number(detail));
    case "body_timeout":
      return bodyTimeout();
    case "request_timeout":
      return requestTimeout();
    case "idle_timeout":
      return idleTimeout();
  }
  switch (givenUp) {
    case "connect_timeout":
      return connectTimeout(false);
    case "response_timeout":
      return responseTimeout();
    case undefined:
      return fromBackend(error);
  }
}

function fromBackend(error: unknown): ProxyError {
  if (error instanceof MalformedMessage) return malformedResponse(error.message);
  if (error instanceof NoAnswer) return connectionLost("connection lost before the response");
  if (error instanceof ResponseBroken) return connectionLost("the response broke off");
  if (error instanceof ProxyError) return error;
  return unexpected(error);
}

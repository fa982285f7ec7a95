/** Turns whatever ended an exchange into a `ProxyError`, and tells whose fault it was. */

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

/** Why the proxy broke an exchange off. */
export type Cancelled = UploadFault | "body_timeout" | "idle_timeout" | "request_timeout";

/** Why the proxy gave an attempt up. Another attempt may follow. */
export type GivenUp = "connect_timeout" | "response_timeout";

/** The connection to the backend ended before the first byte of an answer. */
export class NoAnswer extends Error {}

/** The connection to the backend ended within the body of an answer. */
export class ResponseBroken extends Error {}

/**
 * Returns the error for whatever ended an exchange or an attempt. `cancelled` and `givenUp` come first, because they
 * make the backend's connection fail, too.
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

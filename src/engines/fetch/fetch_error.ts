/** Interprets the errors of `fetch`. Only this file matches the text of the runtime's messages. */

import { messageOf, type ProxyError } from "../../errors.ts";
import { isExhaustion } from "../../net/exhaustion.ts";
import { connectFailed, connectionLost, exhausted, malformedResponse } from "../../failures.ts";

/** Parts of messages of hyper, the HTTP client in `fetch`, for an answer that was not valid HTTP. */
const MALFORMED = ["parsed", "message head is too large"];

/** A write failed: the backend had closed the connection. */
const WRITE_FAILED = "Broken pipe";

/** A write or a read failed: the backend had closed the connection without reading everything. */
const RESET = "Connection reset";

/** The state of a request's body when the connection is lost. `handed out`: the last bytes may still be unsent. */
export type UploadState = "none" | "under way" | "handed out";

/**
 * Wraps an error of `fetch`. It is the backend's failure, or our own file descriptors or ports have run out. The caller
 * has already checked for clients that left and for limits. The one exception is a failed write of the body.
 */
export function fromFetchError(error: unknown, upload: UploadState = "none"): ProxyError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const text = messageOf(cause);
  if (text.includes("client error (Connect)")) {
    return isExhaustion(cause) ? exhausted(cause) : connectFailed(lastPart(text));
  }
  if (MALFORMED.some((part) => text.includes(part))) return malformedResponse(lastPart(text));
  return connectionLost(`connection lost: ${lastPart(text)}`, mayBeRefusal(text, upload) ? "proxy" : "backend");
}

/**
 * Whether the backend may have answered and refused the rest of the upload, such as with a 413. `fetch` then fails with
 * the write and never reads the answer, so this looks the same as a backend that dies. If `fetch` has read the
 * connection to its end, there was no answer.
 */
function mayBeRefusal(text: string, upload: UploadState): boolean {
  if (upload === "none") return false;
  return text.includes(WRITE_FAILED) || (upload === "under way" && text.includes(RESET));
}

/** The last part of a message, which is the most specific. The address in an earlier part is in the log anyway. */
function lastPart(text: string): string {
  const at = text.lastIndexOf(": ");
  return at === -1 ? text : text.slice(at + 2);
}

const REFUSED = "Invalid status code: ";

/**
 * The status with which a backend refused a WebSocket, from the message of the error event; `undefined`: it did not.
 */
export function refusedStatus(text: string): number | undefined {
  const at = text.indexOf(REFUSED);
  const status = at === -1 ? NaN : Number(text.slice(at + REFUSED.length, at + REFUSED.length + 3));
  return status >= 200 && status <= 599 ? status : undefined;
}

/** Wraps the message of a failed WebSocket handshake. */
export function fromHandshakeError(text: string): ProxyError {
  if (isExhaustion(text)) return exhausted(text);
  const connected = !text.includes("connect error") && !text.includes("dns error");
  return connected ? fromFetchError(new Error(text)) : connectFailed(lastPart(text));
}

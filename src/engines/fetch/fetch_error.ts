/** Reads what `fetch` says of a failure: the one place that matches the runtime's message text. */

import { messageOf, type ProxyError } from "../../errors.ts";
import { isExhaustion } from "../../net/exhaustion.ts";
import { connectFailed, connectionLost, exhausted, malformedResponse } from "../../failures.ts";

/** Parts of the messages by which hyper, the client inside `fetch`, says that an answer was not HTTP. */
const MALFORMED = ["parsed", "message head is too large"];

/** A write failed: the backend had closed the connection. */
const WRITE_FAILED = "Broken pipe";

/** A write or a read failed: the backend had closed the connection with something unread. */
const RESET = "Connection reset";

/** How far the body of a request has come when its connection is lost. All of it handed out, the last may be unsent. */
export type UploadState = "none" | "under way" | "handed out";

/**
 * Wraps an error of `fetch`. Every failure that reaches this point is the backend's, or for lack of our own means: the
 * client's and the limits' are told apart before. The one exception is a write of the body that fails.
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
 * Whether the backend may have answered and cut the rest of the upload off, as with a 413. `fetch` fails with the write
 * then and never reads the answer, so that nothing tells such a backend from one that dies. A connection that `fetch`
 * has read to its end had no answer in it, however far the body had come.
 */
function mayBeRefusal(text: string, upload: UploadState): boolean {
  if (upload === "none") return false;
  return text.includes(WRITE_FAILED) || (upload === "under way" && text.includes(RESET));
}

/** The messages grow from the general to the particular, joined by colons; the address in front is in the log anyway. */
function lastPart(text: string): string {
  const at = text.lastIndexOf(": ");
  return at === -1 ? text : text.slice(at + 2);
}

const REFUSED = "Invalid status code: ";

/** The status by which a backend refused a WebSocket, out of the message of the error event; `undefined`: it did not. */
export function refusedStatus(text: string): number | undefined {
  const at = text.indexOf(REFUSED);
  const status = at === -1 ? NaN : Number(text.slice(at + REFUSED.length, at + REFUSED.length + 3));
  return status >= 200 && status <= 599 ? status : undefined;
}

/** Wraps the message of a WebSocket handshake that failed. */
export function fromHandshakeError(text: string): ProxyError {
  if (isExhaustion(text)) return exhausted(text);
  const connected = !text.includes("connect error") && !text.includes("dns error");
  return connected ? fromFetchError(new Error(text)) : connectFailed(lastPart(text));
}

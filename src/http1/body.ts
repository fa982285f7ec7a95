/** How a message's body is framed (RFC 9112 §6). */

import { MalformedMessage } from "./malformed.ts";

/**
 * A body of known length, a chunked body, or one that ends when its connection does. Length 0 means that there is no
 * body.
 */
export type BodyFraming =
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

export const NO_BODY: BodyFraming = { kind: "length", bytes: 0 };
export const CHUNKED: BodyFraming = { kind: "chunked" };
export const UNTIL_CLOSE: BodyFraming = { kind: "until-close" };

/** The largest number of digits. A number of 15 digits is always exact. */
const MOST_DIGITS = 15;

/**
 * Returns the number in the value of a `Content-Length` field.
 *
 * @throws {MalformedMessage} unless the value is 1 to 15 digits. Signs, lists and an empty value are refused
 */
export function parseLength(value: string): number {
  const { length } = value;
  let number = 0;
  for (let at = 0; at < length; at++) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) throw new MalformedMessage("Content-Length is not a number");
    number = number * 10 + digit;
  }
  if (length === 0 || length > MOST_DIGITS) throw new MalformedMessage("Content-Length is not a usable number");
  return number;
}

/**
 * Returns the framing that the fields define; `undefined`: they define none.
 *
 * @throws {MalformedMessage} when the fields contradict each other, or name a transfer coding other than chunked
 */
export function framingOf(
  length: number | undefined,
  transferEncoding: string | undefined,
  minorVersion: number,
): BodyFraming | undefined {
  if (transferEncoding === undefined) {
    return length === undefined ? undefined : length === 0 ? NO_BODY : { kind: "length", bytes: length };
  }
  if (length !== undefined) throw new MalformedMessage("both Transfer-Encoding and Content-Length");
  if (minorVersion === 0) throw new MalformedMessage("Transfer-Encoding in HTTP/1.0");
  if (transferEncoding.toLowerCase() !== "chunked") {
    throw new MalformedMessage("a Transfer-Encoding other than chunked");
  }
  return CHUNKED;
}

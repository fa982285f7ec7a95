/** How a message's body is framed (RFC 9112 §6). */

import { MalformedMessage } from "./malformed.ts";

/** A body of known length, one in chunks, one that ends with its connection. Length 0: there is none. */
export type BodyFraming =
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "until-close" };

export const NO_BODY: BodyFraming = { kind: "length", bytes: 0 };
export const CHUNKED: BodyFraming = { kind: "chunked" };
export const UNTIL_CLOSE: BodyFraming = { kind: "until-close" };

/** More digits than any exact length has. */
const MOST_DIGITS = 15;

/**
 * Returns the number that a `Content-Length` field says.
 *
 * @throws {MalformedMessage} for anything but up to 15 digits: signs, lists, an empty value
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
 * What the fields say of the framing.
 *
 * @throws {MalformedMessage} when they say two things, or something that is not understood here
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

/** Writes heads (RFC 9112 §3, §4 and §5). */

import type { Buffer } from "node:buffer";

const encoder = new TextEncoder();

/** Puts a head, whose characters are all below 256, at the front of `into`; returns how many bytes, or -1: no room. */
export function encodeHead(head: string, into: Buffer): number {
  const { length } = head;
  if (length > into.length) return -1;
  const { read, written } = encoder.encodeInto(head, into);
  // As many bytes as characters: all were ASCII, as nearly always. Else UTF-8 has made two bytes of some.
  return read === length && written === length ? length : into.write(head, 0, length, "latin1");
}

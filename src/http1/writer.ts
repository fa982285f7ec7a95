/** Writes heads (RFC 9112 §3, §4 and §5). */

import type { Buffer } from "node:buffer";

const encoder = new TextEncoder();

/**
 * Writes a head at the start of `into`. All its characters must be below 256. Returns its length in bytes; -1: there is
 * not enough room.
 */
export function encodeHead(head: string, into: Buffer): number {
  const { length } = head;
  if (length > into.length) return -1;
  const { read, written } = encoder.encodeInto(head, into);
  // If there are as many bytes as characters, all were ASCII, which is the usual case. Otherwise UTF-8 has made two
  // bytes of some characters, and the head is written again as ISO 8859-1.
  return read === length && written === length ? length : into.write(head, 0, length, "latin1");
}

/** SHA-256 of short texts. The runtime's own would load all of `node:crypto`, which takes 10 ms of the start. */

import { hmac } from "@noble/hashes/hmac";
import { sha256 } from "@noble/hashes/sha2";

/** Of the text in UTF-8. */
export function digestOf(text: string | Uint8Array): DataView {
  return new DataView(sha256(text).buffer);
}

/** The first `digits` hexadecimal digits of it. */
export function hexDigestOf(text: string, digits = 64): string {
  return sha256(text).toHex().slice(0, digits);
}

/** HMAC-SHA-256: nobody without the key can make it. */
export function keyedDigestOf(key: Uint8Array, text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hmac(sha256, key, text));
}

/** Adapts the headers of responses that the runtime may compress (`proxy.compression`). */

import type { HeaderPair, RequestHead } from "../../proxy/message.ts";

/** Headers that are true only for the bytes that the backend sent: digests (RFC 9530 and older ones) and ranges. */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-digest",
  "repr-digest",
  "digest",
  "content-md5",
  "accept-ranges",
]);

/**
 * Types that the runtime never compresses, and that clients often request in ranges. The runtime's list of types that
 * it compresses has 500 entries. Types on neither list only lose the headers above.
 */
const INCOMPRESSIBLE: ReadonlySet<string> = new Set([
  "application/gzip",
  "application/octet-stream",
  "application/pdf",
  "application/zip",
  "image/avif",
  "image/gif",
  "image/jpeg",
  "image/png",
  "image/webp",
]);

/** A directive of `Cache-Control` that the runtime can read. If another one is present, it may miss `no-transform`. */
const PLAIN_DIRECTIVE = /^[a-z-]+(?:=\d{1,9})?$/;

const NOT_MODIFIED = 304;

/**
 * Returns a response's headers without those that would be wrong after the runtime has compressed the body. The runtime
 * itself removes the length and makes the `ETag` weak, but only if there is a body. So the length is removed here for
 * HEAD, which then says what a GET would say. A 304 is adapted here, too.
 */
export function forCompression(request: RequestHead, status: number, headers: HeaderPair[]): HeaderPair[] {
  if (!acceptsCompression(request)) return headers;
  if (status === NOT_MODIFIED) return notModified(request, headers);
  const spelled = headers.map(spellNoTransform);
  if (!mayBeCompressed(spelled)) return spelled;
  const isHead = request.method === "HEAD";
  return spelled.filter(([name]) => !OF_THE_BYTES.has(name) && !(isHead && name === "content-length"));
}

/** Returns a response's headers with a word that keeps the runtime from compressing it. No other word does. */
export function againstCompression(request: RequestHead, headers: HeaderPair[]): HeaderPair[] {
  if (!acceptsCompression(request) || !mayBeCompressed(headers)) return headers;
  const told = headers.filter(([name]) => name === "cache-control").map(([, value]) => value);
  const kept = headers.filter(([name]) => name !== "cache-control");
  return [...kept, ["cache-control", [...told, "no-transform"].join(", ")]];
}

/** Whether the runtime may compress for this client. */
function acceptsCompression({ headers }: RequestHead): boolean {
  const accepted = valueOf(headers, "accept-encoding");
  return accepted !== undefined && (accepted.includes("gzip") || accepted.includes("br"));
}

/**
 * A 304 is about the response that the client has. If that was compressed, its tag was made weak, and the strong tag
 * would not match it (RFC 9111 §4.3.4). So the tag is made weak here, if the client sent it as weak.
 */
function notModified(request: RequestHead, headers: HeaderPair[]): HeaderPair[] {
  const known = valueOf(request.headers, "if-none-match") ?? "";
  const kept = headers.filter(([name]) => !OF_THE_BYTES.has(name) && name !== "content-length");
  return kept.map((pair) => pair[0] === "etag" && known.includes(`W/${pair[1]}`) ? ["etag", `W/${pair[1]}`] : pair);
}

/** Whether the runtime may compress the response. In doubt, returns true. */
export function mayBeCompressed(headers: readonly HeaderPair[]): boolean {
  let type: string | undefined;
  for (const [name, value] of headers) {
    switch (name) {
      case "content-type":
        type = (value.split(";", 1)[0] ?? "").trim().toLowerCase();
        break;
      case "content-encoding":
      case "content-range":
        return false;
      case "cache-control":
        if (forbidsTransforming(value)) return false;
    }
  }
  if (type === undefined) return false;
  return !INCOMPRESSIBLE.has(type) && !type.startsWith("video/") && !type.startsWith("audio/");
}

function forbidsTransforming(cacheControl: string): boolean {
  const directives = cacheControl.toLowerCase().split(",").map((directive) => directive.trim());
  return directives.includes("no-transform") && directives.every((directive) => PLAIN_DIRECTIVE.test(directive));
}

/** Writes `no-transform` in lower case, because the runtime recognises only that. */
function spellNoTransform(pair: HeaderPair): HeaderPair {
  return pair[0] === "cache-control" ? [pair[0], pair[1].replace(/\bno-transform\b/gi, "no-transform")] : pair;
}

function valueOf(headers: readonly HeaderPair[], name: string): string | undefined {
  return headers.find((pair) => pair[0] === name)?.[1];
}

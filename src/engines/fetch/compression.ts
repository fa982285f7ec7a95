/** Headers of responses that the runtime compresses on their way out (`proxy.compression`). */

import type { HeaderPair, RequestHead } from "../../proxy/message.ts";

/** What holds for the bytes as the backend sent them alone: their digests (RFC 9530 and its forebears), ranges of them. */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-digest",
  "repr-digest",
  "digest",
  "content-md5",
  "accept-ranges",
]);

/**
 * What the runtime never compresses, as far as people ask for ranges of it. Its list of what it does compress has 500
 * types; what is on neither only loses the headers above.
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

/** A directive of `Cache-Control` that the runtime can read; behind others it does not see `no-transform`. */
const PLAIN_DIRECTIVE = /^[a-z-]+(?:=\d{1,9})?$/;

const NOT_MODIFIED = 304;

/**
 * Returns a response's headers less those that would be wrong once the runtime has compressed its body. The runtime itself
 * takes off the length, and makes the `ETag` weak, but not where there is no body: so that is done here, for a HEAD to
 * say nothing that a GET would not.
 */
export function forCompression(request: RequestHead, status: number, headers: HeaderPair[]): HeaderPair[] {
  if (!acceptsCompression(request)) return headers;
  if (status === NOT_MODIFIED) return notModified(request, headers);
  const spelled = headers.map(spellNoTransform);
  if (!mayBeCompressed(spelled)) return spelled;
  const isHead = request.method === "HEAD";
  return spelled.filter(([name]) => !OF_THE_BYTES.has(name) && !(isHead && name === "content-length"));
}

/** Whether the runtime might compress for this client. */
function acceptsCompression({ headers }: RequestHead): boolean {
  const accepted = valueOf(headers, "accept-encoding");
  return accepted !== undefined && (accepted.includes("gzip") || accepted.includes("br"));
}

/**
 * A 304 speaks of what the client has. Nothing in it says whether that was compressed, but if it was, its tag was made
 * weak, and the strong one would name something else (RFC 9111 §4.3.4).
 */
function notModified(request: RequestHead, headers: HeaderPair[]): HeaderPair[] {
  const known = valueOf(request.headers, "if-none-match") ?? "";
  const kept = headers.filter(([name]) => !OF_THE_BYTES.has(name) && name !== "content-length");
  return kept.map((pair) => pair[0] === "etag" && known.includes(`W/${pair[1]}`) ? ["etag", `W/${pair[1]}`] : pair);
}

/** Errs on the side of yes. */
function mayBeCompressed(headers: readonly HeaderPair[]): boolean {
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

/** The runtime heeds it in small letters only. */
function spellNoTransform(pair: HeaderPair): HeaderPair {
  return pair[0] === "cache-control" ? [pair[0], pair[1].replace(/\bno-transform\b/gi, "no-transform")] : pair;
}

function valueOf(headers: readonly HeaderPair[], name: string): string | undefined {
  return headers.find((pair) => pair[0] === name)?.[1];
}

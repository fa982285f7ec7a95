/** Reads what `Deno.serve` hands over, once, into plain values. */

import { isWellFormedAuthority } from "../../proxy/authority.ts";
import type { HeaderPair, RequestHead } from "../../proxy/message.ts";
import { mayHaveBody } from "./unsaid_body.ts";

/** A head as this engine reads it. */
export interface FetchRequestHead extends RequestHead {
  /** Why nothing can be done with the request; `undefined`: it is well-formed. */
  readonly malformed: string | undefined;
  /** Whether the client asks for a WebSocket (RFC 6455 §4.1). */
  readonly wantsWebSocket: boolean;
  /** Whether the body is encoded in a way that `Deno.serve` does not undo, and that nobody would tell the backend of. */
  readonly hasForeignCoding: boolean;
  /** Whether there may be a body of which no header tells, as over HTTP/2. */
  readonly bodyUnsaid: boolean;
  /** Whether this may be HTTP/1.0 asking to keep the connection: the runtime does not tell the version. */
  readonly mayBeKeptHttp10: boolean;
  /** Whether the runtime adds a `traceparent` to each `fetch` for it, which another one beside it would spoil. */
  readonly tracedByRuntime: boolean;
}

/**
 * Reads the head without a `URL` object: `request.url` is the scheme, the authority and the target as sent.
 *
 * @param peer the address at the other end of the connection
 * @param secure whether that is encrypted: the scheme is what the client says in an absolute-form target or `:scheme`
 */
export function readHead(request: Request, peer: string, secure: boolean): FetchRequestHead {
  const { url, method } = request;
  const fields = new HeadFields();
  request.headers.forEach(takeField, fields); // iterating would make an object for each step
  const { headers, host, upgrade, bodySaid } = fields;
  const authorityAt = behindScheme(url);
  // An upgrade takes the connection as it is.
  const bodyUnsaid = !bodySaid && upgrade === undefined && mayHaveBody(request);
  const authority = readAuthority(url, authorityAt, host);
  const rest = url.slice(authorityAt + authority.length);
  return {
    malformed: authorityAt === 0 || (rest === "" && url.endsWith("*"))
      ? "The request target is malformed."
      : secure && host !== undefined && host !== authority && !isSameHost(host, authority)
      ? ":authority and Host differ."
      : undefined,
    method,
    target: method === "OPTIONS" && rest === "/*" ? "/" : rest.startsWith("/") ? rest : `/${rest}`,
    // Plain HTTP without `Host` is the client's mistake; over HTTP/2 the authority is the URL's.
    authority: host === undefined && !secure ? undefined : refusableHost(host) ?? authority,
    headers,
    bodyBytes: bodySaid || bodyUnsaid ? fields.bodyBytes : 0,
    peer,
    secure,
    wantsWebSocket: upgrade?.toLowerCase() === "websocket" && isUpgrade(fields.connection) &&
      fields.key !== undefined && method === "GET",
    hasForeignCoding: fields.hasForeignCoding,
    bodyUnsaid,
    mayBeKeptHttp10: fields.keepAlive && !fields.acceptsEncodings,
    tracedByRuntime: false,
  };
}

/** What a request's headers say, taken one after the other. */
class HeadFields {
  readonly headers: HeaderPair[] = [];
  host: string | undefined;
  bodyBytes: number | undefined;
  /** Whether a header tells of a body, or that there is none. */
  bodySaid = false;
  upgrade: string | undefined;
  connection = "";
  key: string | undefined;
  hasForeignCoding = false;
  keepAlive = false;
  acceptsEncodings = false;

  take(name: string, value: string): void {
    this.headers.push([name, value]);
    switch (name) {
      case "host":
        this.host = value;
        break;
      case "content-length":
        this.bodyBytes = Number(value); // not a number: several, for the request to be refused by it
        this.bodySaid = true;
        break;
      case "transfer-encoding":
        this.hasForeignCoding = value.toLowerCase() !== "chunked";
        this.bodyBytes = undefined;
        this.bodySaid = true;
        break;
      case "upgrade":
        this.upgrade = value;
        break;
      case "connection":
        this.connection = value;
        this.keepAlive = value === "keep-alive" || value === "Keep-Alive";
        break;
      case "accept-encoding":
        this.acceptsEncodings = true;
        break;
      case "sec-websocket-key":
        this.key = value;
        break;
    }
  }
}

/** As a function, so that no closure is made for each request. */
function takeField(this: HeadFields, value: string, name: string): void {
  this.take(name, value);
}

/** Whether the options of `Connection` let the protocol change: without, `Upgrade` means nothing (RFC 9110 §7.8). */
function isUpgrade(connection: string): boolean {
  return connection.toLowerCase().split(",").some((option) => option.trim() === "upgrade");
}

/** Where the authority begins; 0 where the scheme is none that a proxy knows. */
function behindScheme(url: string): number {
  if (url.startsWith("http://")) return 7;
  const scheme = url.slice(0, url.indexOf("://")).toLowerCase();
  return scheme === "https" || scheme === "http" ? scheme.length + 3 : 0;
}

/** Over HTTP/2, where both are given, they have to agree (RFC 9113 §8.3.1). */
function isSameHost(host: string, authority: string): boolean {
  return host.toLowerCase() === authority.toLowerCase();
}

/** The authority in `request.url`: `Host` as sent, or with an absolute-form target that target's. */
function readAuthority(url: string, start: number, host: string | undefined): string {
  if (host && url.startsWith(host, start) && isTargetStart(url.charCodeAt(start + host.length))) return host;
  let end = start;
  while (end < url.length && !isTargetStart(url.charCodeAt(end))) end++;
  return url.slice(start, end);
}

/** A malformed `Host` takes the authority's place, for the request to be refused by it. */
function refusableHost(host: string | undefined): string | undefined {
  return host === undefined || isWellFormedAuthority(host) ? undefined : host;
}

/** `/`, `?` or `#`: the first character behind an authority. */
function isTargetStart(code: number): boolean {
  return code === 0x2f || code === 0x3f || code === 0x23;
}

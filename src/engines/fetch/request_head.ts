/** Reads the head of a request from `Deno.serve` once, into plain values. */

import { isWellFormedAuthority } from "../../proxy/authority.ts";
import type { HeaderPair, RequestHead } from "../../proxy/message.ts";
import { mayHaveBody } from "./unsaid_body.ts";

/** The head of a request, as this engine knows it. */
export interface FetchRequestHead extends RequestHead {
  /** What is malformed; `undefined`: the head is well-formed. */
  readonly malformed: string | undefined;
  /** Whether the client asks for a WebSocket (RFC 6455 §4.1). */
  readonly wantsWebSocket: boolean;
  /**
   * Whether the body has a transfer coding that `Deno.serve` does not decode, and that the backend would not be told
   * about.
   */
  readonly hasForeignCoding: boolean;
  /** Whether there may be a body that no header announces, which is possible over HTTP/2. */
  readonly bodyUnsaid: boolean;
  /** Whether this may be HTTP/1.0 with keep-alive. The runtime does not tell the version. */
  readonly mayBeKeptHttp10: boolean;
  /**
   * Whether the runtime adds a `traceparent` to each `fetch` for this request. With a second one, the header would be
   * malformed.
   */
  readonly tracedByRuntime: boolean;
}

/**
 * Reads the head without a `URL` object. `request.url` is the scheme, the authority and the target, as they were sent.
 *
 * @param peer the address at the other end of the connection
 * @param secure whether that connection is encrypted. The scheme in the URL does not tell: it is the client's, from an
 * absolute-form target or `:scheme`
 */
export function readHead(request: Request, peer: string, secure: boolean): FetchRequestHead {
  const { url } = request;
  const method = methodAt(request.method);
  const fields = new HeadFields();
  request.headers.forEach(takeField, fields); // iteration would make an object for each step
  const { headers, host, upgrade, bodySaid } = fields;
  const authorityAt = behindScheme(url);
  // With an upgrade, all that follows the head belongs to the new protocol.
  const bodyUnsaid = !bodySaid && upgrade === undefined && mayHaveBody(request);
  const authority = readAuthority(url, authorityAt, host);
  const rest = url.slice(authorityAt + authority.length);
  return {
    // `fetch` cuts off what follows "#". A route would be chosen by another path than the one that goes on.
    malformed:
      authorityAt === 0 || (url.startsWith(UNIX_SCHEME) && host !== authority) || (rest === "" && url.endsWith("*")) ||
        rest.includes("#")
        ? "The request target is malformed."
        : secure && host !== undefined && host !== authority && !isSameHost(host, authority)
        ? ":authority and Host differ."
        : undefined,
    method,
    rewritesTarget: true,
    target: method === "OPTIONS" && rest === "/*" ? "/" : rest.startsWith("/") ? rest : `/${rest}`,
    // Without TLS, a missing `Host` is the client's mistake. Over HTTP/2, the URL has the authority.
    authority: host === undefined && !secure ? undefined : refusableHost(host) ?? authority,
    headers,
    bodyBytes: bodySaid || bodyUnsaid ? fields.bodyBytes : 0,
    peer,
    secure,
    // The runtime does not tell the version. Over HTTP/2, clients send `:authority` in place of `Host`.
    protocol: secure && host === undefined ? "HTTP/2.0" : "HTTP/1.1",
    wantsWebSocket: upgrade?.toLowerCase() === "websocket" && isUpgrade(fields.connection) &&
      fields.key !== undefined && method === "GET",
    hasForeignCoding: fields.hasForeignCoding,
    bodyUnsaid,
    mayBeKeptHttp10: fields.keepAlive && !fields.acceptsEncodings,
    tracedByRuntime: false,
  };
}

/** `fetch` sends these in upper case, however the client wrote them. */
const UPPER_CASED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);

/** The method as the backend will get it. With another one, a route's condition could be passed by. */
function methodAt(method: string): string {
  if (UPPER_CASED.has(method)) return method;
  const upper = method.toUpperCase();
  return UPPER_CASED.has(upper) ? upper : method;
}

/** Collects values from the headers, which are passed in one after the other. */
class HeadFields {
  readonly headers: HeaderPair[] = [];
  host: string | undefined;
  bodyBytes: number | undefined;
  /** Whether a header tells whether there is a body. */
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
        this.bodyBytes = Number(value); // several values give NaN; the request is then refused
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

/** A function, so that no closure is made for each request. */
function takeField(this: HeadFields, value: string, name: string): void {
  this.take(name, value);
}

/** Whether `Connection` has the option `upgrade`. Without it, `Upgrade` has no meaning (RFC 9110 §7.8). */
function isUpgrade(connection: string): boolean {
  return connection.toLowerCase().split(",").some((option) => option.trim() === "upgrade");
}

/** With this, the URL of a request begins that came through a unix socket, unless its target is in absolute form. */
const UNIX_SCHEME = "http+unix://";

/** Returns where the authority begins; 0: the scheme is not `http` or `https`. */
function behindScheme(url: string): number {
  if (url.startsWith("http://")) return 7;
  if (url.startsWith(UNIX_SCHEME)) return UNIX_SCHEME.length;
  const scheme = url.slice(0, url.indexOf("://")).toLowerCase();
  return scheme === "https" || scheme === "http" ? scheme.length + 3 : 0;
}

/** Over HTTP/2, `Host` and `:authority` must be the same if both are given (RFC 9113 §8.3.1). */
function isSameHost(host: string, authority: string): boolean {
  return host.toLowerCase() === authority.toLowerCase();
}

/** The authority in `request.url`: `Host` as it was sent, or the authority of an absolute-form target. */
function readAuthority(url: string, start: number, host: string | undefined): string {
  if (host && url.startsWith(host, start) && isTargetStart(url.charCodeAt(start + host.length))) return host;
  let end = start;
  while (end < url.length && !isTargetStart(url.charCodeAt(end))) end++;
  return url.slice(start, end);
}

/** Returns a malformed `Host`. It replaces the authority, so that the request is refused. */
function refusableHost(host: string | undefined): string | undefined {
  return host === undefined || isWellFormedAuthority(host) ? undefined : host;
}

/** Whether this is `/`, `?` or `#`: the first character after an authority. */
function isTargetStart(code: number): boolean {
  return code === 0x2f || code === 0x3f || code === 0x23;
}

/** Decides which headers are forwarded, and sets others: RFC 9110 §7.6.1 and the `X-Forwarded-*` convention. */

import type { LooseNames } from "../http1/loose_name.ts";
import { withCertificate } from "./client_cert.ts";
import { forwardedChain, type ForwardedTrust } from "./forwarded.ts";
import { dashed, HeaderTable } from "./header_table.ts";
import type { RandomHex } from "./ids.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import { startTrace, traceIdOf } from "./trace.ts";

/** Headers that the operator sets or removes. Names in lower case. */
export interface HeaderRules {
  readonly set: readonly HeaderPair[];
  readonly remove: ReadonlySet<string>;
  /** What else never comes from a client, in any spelling. */
  readonly owned?: LooseNames | undefined;
}

/** What is computed from a request's headers before a backend is chosen. */
export interface ForwardedRequest {
  /** The headers for the backend, before the operator's rules. */
  readonly headers: HeaderPair[];
  readonly requestId: string;
  /** The client's address, as determined by `proxy.trustForwarded`. */
  readonly client: string;
  /**
   * Whether the client's own connection is encrypted: the one to us, or, as a trusted proxy says, the one to that
   * proxy.
   */
  readonly secure: boolean;
  /** The id of the trace that the request belongs to: 32 hexadecimal digits. */
  readonly traceId: string;
}

const LONGEST_REQUEST_ID = 128;

/** Headers that concern one connection only. `Connection` may name more. */
const HOP_BY_HOP = {
  "connection": "connection",
  "keep-alive": "drop",
  "proxy-connection": "drop",
  "proxy-authenticate": "drop",
  "proxy-authorization": "drop",
  "te": "te",
  "trailer": "trailer",
  "transfer-encoding": "drop",
  "upgrade": "drop",
} as const;

const REQUEST_HEADERS = new HeaderTable(
  {
    ...HOP_BY_HOP,
    "host": "host",
    "x-forwarded-for": "forwarded-for",
    "x-forwarded-proto": "forwarded-proto",
    "x-forwarded-host": "forwarded-host",
    "forwarded": "believed",
    "x-real-ip": "believed",
    "x-original-url": "believed",
    "x-rewrite-url": "believed",
    "proxy": "believed",
    "client-cert": "believed",
    "client-cert-chain": "believed",
    "x-request-id": "request-id",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
  },
  "drop", // a trusted proxy uses the usual spelling; it has not checked a header with another one
);

/** Headers that begin with this are forwarded only if a trusted peer sent them. */
const FORWARDED_PREFIX = "x-forwarded-";

/** The part of the path that backends do not get. */
const FORWARDED_PREFIX_HEADER = "x-forwarded-prefix";

/** Credentials belong in the head, where all recipients look for them (RFC 9110 §6.5.1). */
const NEVER_REQUEST_TRAILERS = new HeaderTable({ "authorization": "drop", "cookie": "drop" });

const RESPONSE_HEADERS = new HeaderTable({ ...HOP_BY_HOP, "x-request-id": "drop" });

/**
 * Reads the headers of a request, and returns those for the backend. Removes hop-by-hop headers and those that only a
 * trusted peer may send. Adds `Host`, `X-Forwarded-*`, `X-Request-Id` and `traceparent`.
 */
export function forwardRequest(request: RequestHead, trust: ForwardedTrust, random: RandomHex): ForwardedRequest {
  const authority = request.authority ?? "";
  const fields = new RequestFields(request, authority, trust.trusts(request.peer));
  for (const pair of request.headers) fields.take(pair);
  const { headers, connection, forwardedFor, traceparent } = fields;
  if (!fields.hostGiven) headers.unshift(["host", authority]);
  let kept = connection === undefined ? headers : withoutNamed(headers, connection);
  let traceId = traceparent === undefined ? undefined : traceIdOf(traceparent);
  if (traceId === undefined) {
    if (traceparent !== undefined || fields.hasTraceState) kept = withoutTrace(kept);
    traceId = random.take(16);
    kept.push(["traceparent", startTrace(traceId, random)]);
  }

  const client = forwardedFor === undefined ? request.peer : trust.client(forwardedFor, request.peer);
  const protocol = fields.forwardedProto ?? (request.secure ? "https" : "http");
  const id = fields.requestId || random.take(16);
  const chain = forwardedChain(forwardedFor, request.peer);
  if (chain !== undefined) kept.push(["x-forwarded-for", chain]);
  kept.push(
    ["x-forwarded-proto", protocol],
    ["x-forwarded-host", fields.forwardedHost ?? authority],
    ["x-request-id", id],
  );
  return {
    headers: request.clientCert === undefined ? kept : withCertificate(kept, request.clientCert),
    requestId: id,
    client,
    secure: isHttps(protocol),
    traceId,
  };
}

/**
 * Applies the operator's rules to the headers for the backend. May change the list.
 *
 * @param stripped what was cut off the beginning of the path; empty: nothing. Backends are told, so that their links
 * begin with it
 */
export function ruledRequest(headers: HeaderPair[], rules: HeaderRules, stripped: string): HeaderPair[] {
  if (stripped !== "") tellPrefix(headers, stripped);
  return applyRules(headers, rules, governsRequest);
}

/** A trusted proxy may have cut something off, too. Only the whole prefix is of use to a backend. */
function tellPrefix(headers: HeaderPair[], stripped: string): void {
  const at = headers.findIndex(([name]) => name.toLowerCase() === FORWARDED_PREFIX_HEADER);
  const outer = headers[at]?.[1].replace(/\/+$/, "") ?? "";
  const pair: HeaderPair = [FORWARDED_PREFIX_HEADER, outer + stripped];
  if (at === -1) headers.push(pair);
  else headers[at] = pair;
}

/** Sorts the headers of a request, which are passed in one after the other. */
class RequestFields {
  /** The headers to forward. Those that `Connection` names are still among them. */
  readonly headers: HeaderPair[] = [];
  hostGiven = false;
  connection: string | undefined;
  /** This and the next two are set only if the peer is trusted. */
  forwardedFor: string | undefined;
  forwardedProto: string | undefined;
  forwardedHost: string | undefined;
  /** Empty or `undefined`: there is none that can be used. */
  requestId: string | undefined;
  /** Empty: there are several, which counts as malformed. */
  traceparent: string | undefined;
  hasTraceState = false;
  readonly #request: RequestHead;
  readonly #authority: string;
  readonly #trusted: boolean;
  #teGiven = false;

  /** @param trusted whether the peer's headers about its client are trusted */
  constructor(request: RequestHead, authority: string, trusted: boolean) {
    this.#request = request;
    this.#authority = authority;
    this.#trusted = trusted;
  }

  take(pair: HeaderPair): void {
    const value = pair[1];
    const { headers } = this;
    switch (REQUEST_HEADERS.get(pair[0]) ?? forwardedEntry(pair[0])) {
      case undefined:
        headers.push(pair);
        return;
      case "drop":
        return;
      case "host":
        if (!this.hostGiven) headers.push(value === this.#authority ? pair : [pair[0], this.#authority]);
        this.hostGiven = true;
        return;
      case "connection":
        this.connection = this.connection === undefined ? value : `${this.connection},${value}`;
        return;
      case "te":
        if (this.#request.takesTrailers && !this.#teGiven && namesTrailers(value)) {
          headers.push(value === "trailers" ? pair : [pair[0], "trailers"]);
          this.#teGiven = true;
        }
        return;
      case "trailer":
        if (this.#request.carriesTrailers) headers.push(pair);
        return;
      case "forwarded-for":
        if (!this.#trusted) return;
        this.forwardedFor = this.forwardedFor === undefined ? value : `${this.forwardedFor}, ${value}`;
        return;
      case "forwarded-proto":
        if (this.#trusted) this.forwardedProto = value;
        return;
      case "forwarded-host":
        if (this.#trusted) this.forwardedHost = value;
        return;
      case "believed":
        if (this.#trusted) headers.push(pair);
        return;
      case "request-id":
        this.requestId = this.requestId === undefined && isRequestId(value) ? value : "";
        return;
      case "traceparent":
        this.traceparent = this.traceparent === undefined ? value : ""; // two of them count as malformed
        headers.push(pair);
        return;
      case "tracestate":
        this.hasTraceState = true;
        headers.push(pair);
    }
  }
}

/** Whether the client used HTTPS. If several proxies have made a list, its first entry is about the client. */
function isHttps(protocol: string): boolean {
  if (protocol === "http") return false; // the usual case
  const end = protocol.indexOf(",");
  return (end === -1 ? protocol : protocol.slice(0, end)).trim().toLowerCase() === "https";
}

/**
 * Whether a trailer of a request is dropped: the proxy controls headers of this name, or the operator removes or sets
 * it.
 */
export function dropsRequestTrailer(name: string, rules: HeaderRules): boolean {
  if (REQUEST_HEADERS.get(name) !== undefined || forwardedEntry(name) !== undefined) return true;
  if (NEVER_REQUEST_TRAILERS.get(name) !== undefined) return true;
  return governsRequest(name, rules);
}

/** Like `dropsRequestTrailer`, for a response. */
export function dropsResponseTrailer(name: string, rules: HeaderRules): boolean {
  return RESPONSE_HEADERS.get(name) !== undefined || governsResponse(name, rules);
}

/**
 * Returns the headers for the client: the backend's without hop-by-hop ones, and `X-Request-Id`. Then applies the
 * operator's rules.
 */
export function forwardResponse(response: ResponseHead, requestId: string, rules: HeaderRules): HeaderPair[] {
  const headers = endToEnd(response);
  headers.push(["x-request-id", requestId]);
  return applyRules(headers, rules, governsResponse);
}

/** Returns the headers of a 1xx for the client: the backend's without hop-by-hop ones. */
export function forwardInformational(response: ResponseHead): HeaderPair[] {
  return endToEnd(response);
}

function endToEnd(response: ResponseHead): HeaderPair[] {
  const headers: HeaderPair[] = [];
  let connection: string | undefined;
  for (const pair of response.headers) {
    switch (RESPONSE_HEADERS.get(pair[0])) {
      case undefined:
        headers.push(pair);
        continue;
      case "drop":
      case "te":
        continue;
      case "connection":
        connection = connection === undefined ? pair[1] : `${connection},${pair[1]}`;
        continue;
      case "trailer":
        if (response.carriesTrailers) headers.push(pair);
    }
  }
  return connection === undefined ? headers : withoutNamed(headers, connection);
}

/** Removes the headers of a trace that can't be read. The new trace has no state yet (W3C Trace Context §3.4). */
function withoutTrace(headers: HeaderPair[]): HeaderPair[] {
  return headers.filter(([name]) => {
    const lower = name.toLowerCase();
    return lower !== "traceparent" && lower !== "tracestate";
  });
}

/** Removes the headers that `Connection` names. It can't remove `Host`, `TE`, `Content-Length` and `traceparent`. */
function withoutNamed(headers: HeaderPair[], connection: string): HeaderPair[] {
  const lowerCase = connection.toLowerCase();
  if (lowerCase === "keep-alive" || lowerCase === "close") return headers; // the usual case
  const named = lowerCase.split(",").map((option) => option.trim());
  const kept = headers.filter(([name]) => {
    const lower = name.toLowerCase();
    const ours = lower === "host" || lower === "te" || lower === "content-length" || lower === "traceparent";
    return ours || !named.includes(lower);
  });
  return kept;
}

/** Whether a header of this name says something that only a trusted peer may say. */
export function isClaim(name: string): boolean {
  const entry = REQUEST_HEADERS.get(name);
  return entry === "believed" || (entry !== undefined && name.includes("_")) || forwardedEntry(name) !== undefined;
}

/** What to do with a header whose name begins with `X-Forwarded-`. */
function forwardedEntry(name: string): "believed" | "drop" | undefined {
  if (name.length < FORWARDED_PREFIX.length || (name.charCodeAt(0) | 0x20) !== 0x78) return undefined;
  const lower = name.toLowerCase();
  if (lower.startsWith(FORWARDED_PREFIX) && !lower.includes("_")) return "believed";
  return dashed(lower).startsWith(FORWARDED_PREFIX) ? "drop" : undefined;
}

/** @param governs whether the rules remove a header of this name, or replace it */
function applyRules(headers: HeaderPair[], rules: HeaderRules, governs: typeof governsResponse): HeaderPair[] {
  if (rules.set.length === 0 && rules.remove.size === 0 && rules.owned === undefined) return headers;
  const kept = headers.filter(([name]) => !governs(name, rules));
  kept.push(...rules.set);
  return kept;
}

function governsResponse(name: string, rules: HeaderRules): boolean {
  const lower = name.toLowerCase();
  return rules.remove.has(lower) || rules.set.some((pair) => pair[0] === lower);
}

/** Names that a client spells with `_` are included, because many backends read them as the same header. */
function governsRequest(name: string, rules: HeaderRules): boolean {
  if (rules.owned?.has(name) === true) return true;
  return governsResponse(name, rules) || (name.includes("_") && governsResponse(dashed(name), rules));
}

/** Whether a `TE` header accepts trailers, alone or among transfer codings (RFC 9110 §10.1.4). */
function namesTrailers(te: string): boolean {
  return te.split(",").some((member) => member.trim().toLowerCase() === "trailers");
}

/** Whether `text` is 1 to 128 characters from `A-Za-z0-9._-`. */
function isRequestId(text: string): boolean {
  if (text.length === 0 || text.length > LONGEST_REQUEST_ID) return false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    const digit = code >= 0x30 && code <= 0x39;
    if (!letter && !digit && code !== 0x2e && code !== 0x5f && code !== 0x2d) return false;
  }
  return true;
}

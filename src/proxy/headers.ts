/** Which headers cross the proxy, and which it sets: RFC 9110 §7.6.1 and the `X-Forwarded-*` convention. */

import type { ForwardedTrust } from "./forwarded.ts";
import { dashed, HeaderTable } from "./header_table.ts";
import type { RandomHex } from "./ids.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import { startTrace, traceIdOf } from "./trace.ts";

/** Headers that the operator sets or removes. Names in lower case. */
export interface HeaderRules {
  readonly set: readonly HeaderPair[];
  readonly remove: ReadonlySet<string>;
}

/** What is worked out of a request's headers before any backend is chosen. */
export interface ForwardedRequest {
  /** What a backend gets, `Host` first. */
  readonly headers: HeaderPair[];
  readonly requestId: string;
  /** The client's address, as `trustForwarded` yields it. */
  readonly client: string;
  /** Whether the client's own connection is encrypted: the one that arrives here, or by the word of a trusted proxy. */
  readonly secure: boolean;
  /** Of the trace that the request is part of: 32 hexadecimal digits. */
  readonly traceId: string;
}

const LONGEST_REQUEST_ID = 128;

/** What concerns one connection alone, beside what `Connection` names. */
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
  "drop", // a trusted proxy spells them as usual: another spelling is what it did not look at
);

/** What begins so is believed of a trusted peer alone, whatever follows. */
const FORWARDED_PREFIX = "x-forwarded-";

/** What speaks of the client's rights comes in the head, where everyone looks for it (RFC 9110 §6.5.1). */
const NEVER_REQUEST_TRAILERS = new HeaderTable({ "authorization": "drop", "cookie": "drop" });

const RESPONSE_HEADERS = new HeaderTable({ ...HOP_BY_HOP, "x-request-id": "drop" });

/**
 * Returns the headers for the backend: those of the client less the hop-by-hop ones and whatever it may not claim,
 * plus `Host`, `X-Forwarded-*`, `X-Request-Id` and `traceparent`, then the operator's rules.
 */
export function forwardRequest(
  request: RequestHead,
  trust: ForwardedTrust,
  rules: HeaderRules,
  random: RandomHex,
): ForwardedRequest {
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
  kept.push(
    ["x-forwarded-for", forwardedFor === undefined ? request.peer : `${forwardedFor}, ${request.peer}`],
    ["x-forwarded-proto", protocol],
    ["x-forwarded-host", fields.forwardedHost ?? authority],
    ["x-request-id", id],
  );
  return {
    headers: applyRules(kept, rules, governsRequest),
    requestId: id,
    client,
    secure: isHttps(protocol),
    traceId,
  };
}

/** What a request's headers say, taken one after the other. */
class RequestFields {
  /** Those that cross, but for what `Connection` names. */
  readonly headers: HeaderPair[] = [];
  hostGiven = false;
  connection: string | undefined;
  /** This and the next two: what a trusted peer says. */
  forwardedFor: string | undefined;
  forwardedProto: string | undefined;
  forwardedHost: string | undefined;
  /** Empty: there is none that can be taken over. */
  requestId: string | undefined;
  /** Empty: there are several. */
  traceparent: string | undefined;
  hasTraceState = false;
  readonly #request: RequestHead;
  readonly #authority: string;
  readonly #trusted: boolean;
  #teGiven = false;

  /** @param trusted whether the peer is believed what it says of its client */
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
        this.traceparent = this.traceparent === undefined ? value : ""; // two of them are as good as none
        headers.push(pair);
        return;
      case "tracestate":
        this.hasTraceState = true;
        headers.push(pair);
    }
  }
}

/** Of a list that several proxies have made the first is the client's. */
function isHttps(protocol: string): boolean {
  const end = protocol.indexOf(",");
  return (end === -1 ? protocol : protocol.slice(0, end)).trim().toLowerCase() === "https";
}

/** Whether such a trailer of a request is dropped: the proxy governs the name, or the operator removes or sets it. */
export function dropsRequestTrailer(name: string, rules: HeaderRules): boolean {
  if (REQUEST_HEADERS.get(name) !== undefined || forwardedEntry(name) !== undefined) return true;
  if (NEVER_REQUEST_TRAILERS.get(name) !== undefined) return true;
  return governsRequest(name, rules);
}

/** As `dropsRequestTrailer`, of a response. */
export function dropsResponseTrailer(name: string, rules: HeaderRules): boolean {
  return RESPONSE_HEADERS.get(name) !== undefined || governsResponse(name, rules);
}

/** Returns the headers for the client: the backend's less the hop-by-hop ones, `X-Request-Id`, the operator's rules. */
export function forwardResponse(response: ResponseHead, requestId: string, rules: HeaderRules): HeaderPair[] {
  const headers = endToEnd(response);
  headers.push(["x-request-id", requestId]);
  return applyRules(headers, rules, governsResponse);
}

/** Returns the headers of a 1xx for the client: the backend's less the hop-by-hop ones. */
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

/** What belongs to a trace that can't be read: the one that is started has no state yet (W3C Trace Context §3.4). */
function withoutTrace(headers: HeaderPair[]): HeaderPair[] {
  return headers.filter(([name]) => {
    const lower = name.toLowerCase();
    return lower !== "traceparent" && lower !== "tracestate";
  });
}

/** Drops the headers that a `Connection` header names. `Host`, the length and the trace are not the connection's to drop. */
function withoutNamed(headers: HeaderPair[], connection: string): HeaderPair[] {
  const lowerCase = connection.toLowerCase();
  if (lowerCase === "keep-alive" || lowerCase === "close") return headers; // nearly always
  const named = lowerCase.split(",").map((option) => option.trim());
  const kept = headers.filter(([name]) => {
    const lower = name.toLowerCase();
    const ours = lower === "host" || lower === "te" || lower === "content-length" || lower === "traceparent";
    return ours || !named.includes(lower);
  });
  return kept;
}

/** What to do with `X-Forwarded-` and anything behind it. */
function forwardedEntry(name: string): "believed" | "drop" | undefined {
  if (name.length < FORWARDED_PREFIX.length || (name.charCodeAt(0) | 0x20) !== 0x78) return undefined;
  const lower = name.toLowerCase();
  if (lower.startsWith(FORWARDED_PREFIX) && !lower.includes("_")) return "believed";
  return dashed(lower).startsWith(FORWARDED_PREFIX) ? "drop" : undefined;
}

/** @param governs whether a header of this name goes, or makes room for the operator's own */
function applyRules(headers: HeaderPair[], rules: HeaderRules, governs: typeof governsResponse): HeaderPair[] {
  if (rules.set.length === 0 && rules.remove.size === 0) return headers;
  const kept = headers.filter(([name]) => !governs(name, rules));
  kept.push(...rules.set);
  return kept;
}

function governsResponse(name: string, rules: HeaderRules): boolean {
  const lower = name.toLowerCase();
  return rules.remove.has(lower) || rules.set.some((pair) => pair[0] === lower);
}

/** A client's other spelling of such a name is governed too: many backends take it for the same header. */
function governsRequest(name: string, rules: HeaderRules): boolean {
  return governsResponse(name, rules) || (name.includes("_") && governsResponse(dashed(name), rules));
}

/** Whether a `TE` says that trailers are welcome, alone or among transfer codings (RFC 9110 §10.1.4). */
function namesTrailers(te: string): boolean {
  return te.split(",").some((member) => member.trim().toLowerCase() === "trailers");
}

/** 1 to 128 characters from `A-Za-z0-9._-`. */
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

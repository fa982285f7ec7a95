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
  const trusted = trust.trusts(request.peer);
  const authority = request.authority ?? "";
  const headers: HeaderPair[] = [];
  let hostGiven = false;
  let teGiven = false;
  let connection: string | undefined;
  let forwardedFor: string | undefined;
  let forwardedProto: string | undefined;
  let forwardedHost: string | undefined;
  let requestId: string | undefined;
  let traceparent: string | undefined;
  let hasTraceState = false;

  for (const pair of request.headers) {
    const value = pair[1];
    switch (REQUEST_HEADERS.get(pair[0]) ?? forwardedEntry(pair[0])) {
      case undefined:
        headers.push(pair);
        continue;
      case "drop":
        continue;
      case "host":
        if (!hostGiven) headers.push(value === authority ? pair : [pair[0], authority]);
        hostGiven = true;
        continue;
      case "connection":
        connection = connection === undefined ? value : `${connection},${value}`;
        continue;
      case "te":
        if (request.takesTrailers && !teGiven && namesTrailers(value)) {
          headers.push(value === "trailers" ? pair : [pair[0], "trailers"]);
          teGiven = true;
        }
        continue;
      case "trailer":
        if (request.carriesTrailers) headers.push(pair);
        continue;
      case "forwarded-for":
        if (trusted) forwardedFor = forwardedFor === undefined ? value : `${forwardedFor}, ${value}`;
        continue;
      case "forwarded-proto":
        if (trusted) forwardedProto = value;
        continue;
      case "forwarded-host":
        if (trusted) forwardedHost = value;
        continue;
      case "believed":
        if (trusted) headers.push(pair);
        continue;
      case "request-id":
        requestId = requestId === undefined && isRequestId(value) ? value : "";
        continue;
      case "traceparent":
        traceparent = traceparent === undefined ? value : ""; // two of them are as good as none
        headers.push(pair);
        continue;
      case "tracestate":
        hasTraceState = true;
        headers.push(pair);
    }
  }
  if (!hostGiven) headers.unshift(["host", authority]);
  let kept = connection === undefined ? headers : withoutNamed(headers, connection);
  let traceId = traceparent === undefined ? undefined : traceIdOf(traceparent);
  if (traceId === undefined) {
    if (traceparent !== undefined || hasTraceState) kept = withoutTrace(kept);
    traceId = random.take(16);
    kept.push(["traceparent", startTrace(traceId, random)]);
  }

  const client = forwardedFor === undefined ? request.peer : trust.client(forwardedFor, request.peer);
  const protocol = forwardedProto ?? (request.secure ? "https" : "http");
  const id = requestId || random.take(16);
  kept.push(
    ["x-forwarded-for", forwardedFor === undefined ? request.peer : `${forwardedFor}, ${request.peer}`],
    ["x-forwarded-proto", protocol],
    ["x-forwarded-host", forwardedHost ?? authority],
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

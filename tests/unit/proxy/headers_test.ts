import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { ForwardedTrust } from "../../../src/proxy/forwarded.ts";
import { forwardRequest, forwardResponse, type HeaderRules, ruledRequest } from "../../../src/proxy/headers.ts";
import { RandomHex } from "../../../src/proxy/ids.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "../../../src/proxy/message.ts";

const NO_RULES: HeaderRules = { set: [], remove: new Set() };
const random = new RandomHex();

function head(headers: HeaderPair[], overrides: Partial<RequestHead> = {}): RequestHead {
  const base = {
    method: "GET",
    target: "/",
    authority: "example.com",
    bodyBytes: 0,
    peer: "192.0.2.7",
    protocol: "HTTP/1.1" as const,
    secure: false,
  };
  return { ...base, headers, ...overrides };
}

function forward(headers: HeaderPair[], trust: readonly string[] = [], rules = NO_RULES, overrides = {}) {
  const forwarded = forwardRequest(head(headers, overrides), new ForwardedTrust(trust), random);
  return { ...forwarded, headers: ruledRequest(forwarded.headers, rules, "") };
}

function answer(headers: HeaderPair[]): ResponseHead {
  return { status: 200, headers };
}

function valuesOf(headers: readonly HeaderPair[], name: string): string[] {
  return headers.filter((pair) => pair[0].toLowerCase() === name).map((pair) => pair[1]);
}

const HOP_BY_HOP = [
  "Connection",
  "Keep-Alive",
  "Proxy-Connection",
  "Proxy-Authenticate",
  "Proxy-Authorization",
  "TE",
  "Trailer",
  "Transfer-Encoding",
  "Upgrade",
];

Deno.test("forwardRequest() drops hop-by-hop headers in any case and keeps the rest in order", () => {
  for (
    const spell of [(name: string) => name, (name: string) => name.toLowerCase(), (name: string) => name.toUpperCase()]
  ) {
    const dropped = HOP_BY_HOP.map((name): HeaderPair => [spell(name), "x"]);
    const { headers } = forward([["A", "1"], ...dropped, ["b", "2"], ["A", "3"]]);
    assertEquals(headers.slice(0, 4), [["host", "example.com"], ["A", "1"], ["b", "2"], ["A", "3"]]);
    for (const name of HOP_BY_HOP) assertEquals(valuesOf(headers, name.toLowerCase()), [], name);
  }
});

Deno.test("forwardRequest() drops every header that Connection names, on several lines too", () => {
  const { headers } = forward([
    ["X-One", "1"],
    ["Connection", "x-one, ,X-TWO"],
    ["x-two", "2"],
    ["x-three", "3"],
    ["connection", "close, x-three"],
    ["x-four", "4"],
  ]);
  assertEquals(headers.filter(([name]) => /^x-(one|two|three|four)$/i.test(name)), [["x-four", "4"]]);
});

Deno.test("forwardRequest() does not let Connection name what the proxy sets", () => {
  const named = "host, x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-request-id";
  const { headers } = forward([["connection", named], ["host", "example.com"]]);
  for (const name of named.split(", ")) assertEquals(valuesOf(headers, name).length, 1, name);
});

Deno.test("forwardRequest() keeps of TE that trailers are welcome, where they can cross", () => {
  const te = (...values: string[]) => {
    const pairs = values.map((value): HeaderPair => ["te", value]);
    return valuesOf(forward(pairs, [], NO_RULES, { takesTrailers: true }).headers, "te");
  };
  for (const values of [["Trailers"], ["trailers, deflate"], ["gzip", "gzip;q=0.1,\ttrailers ", "trailers"]]) {
    assertEquals(te(...values), ["trailers"], `${values}`);
  }
  assertEquals(te("deflate", "trailers;q=1"), []);
  assertEquals(valuesOf(forward([["te", "trailers"]]).headers, "te"), []);
});

Deno.test("forwardRequest() replaces what an untrusted client claims about itself", () => {
  const { headers, client } = forward([
    ["X-Forwarded-For", "10.0.0.1"],
    ["x-forwarded-proto", "https"],
    ["X-FORWARDED-HOST", "evil"],
    ["Forwarded", "for=10.0.0.1"],
    ["X-Real-IP", "10.0.0.1"],
    ["X-Forwarded-Port", "1"],
  ], ["198.51.100.0/24"]);
  assertEquals(valuesOf(headers, "x-forwarded-for"), ["192.0.2.7"]);
  assertEquals(valuesOf(headers, "x-forwarded-proto"), ["http"]);
  assertEquals(valuesOf(headers, "x-forwarded-host"), ["example.com"]);
  for (const name of ["forwarded", "x-real-ip", "x-forwarded-port"]) assertEquals(valuesOf(headers, name), [], name);
  assertEquals(client, "192.0.2.7");
});

Deno.test("forwardRequest() believes a trusted proxy and appends to its chain", () => {
  const { headers, client } = forward(
    [
      ["x-forwarded-for", "203.0.113.9, 10.1.1.1"],
      ["x-forwarded-for", "10.2.2.2"],
      ["x-forwarded-proto", "https"],
      ["x-forwarded-host", "public.example"],
      ["forwarded", "for=203.0.113.9"],
    ],
    ["192.0.2.0/24", "10.0.0.0/8"],
  );
  assertEquals(valuesOf(headers, "x-forwarded-for"), ["203.0.113.9, 10.1.1.1, 10.2.2.2, 192.0.2.7"]);
  assertEquals(valuesOf(headers, "x-forwarded-proto"), ["https"]);
  assertEquals(valuesOf(headers, "x-forwarded-host"), ["public.example"]);
  assertEquals(valuesOf(headers, "forwarded"), ["for=203.0.113.9"]);
  assertEquals(client, "203.0.113.9");
});

Deno.test("ForwardedTrust.client() stops at the first address that is not trusted, or not an address", () => {
  const trust = new ForwardedTrust(["10.0.0.0/8", "::1"]);
  assertEquals(trust.client("1.1.1.1, 2.2.2.2, 10.0.0.1", "10.0.0.2"), "2.2.2.2");
  assertEquals(trust.client("10.0.0.9,10.0.0.1", "10.0.0.2"), "10.0.0.9");
  assertEquals(trust.client("1.1.1.1, unknown, 10.0.0.1", "10.0.0.2"), "10.0.0.1");
  assertEquals(trust.client("", "10.0.0.2"), "10.0.0.2");
  // Spelled in two ways, one client would have had two sessions and two places on the hash.
  assertEquals(trust.client("2001:DB8:0:0::1", "10.0.0.2"), trust.client("2001:db8::0:1", "10.0.0.2"));
  assertEquals(trust.client("::ffff:192.0.2.1", "10.0.0.2"), "192.0.2.1");
  assertEquals([trust.trusts("::ffff:10.1.1.1"), trust.trusts("::1"), trust.trusts("nonsense")], [true, true, false]);
});

Deno.test("forwardRequest() keeps a well-formed X-Request-Id and replaces any other", () => {
  for (const id of ["a", "A-b_c.9", "x".repeat(128)]) {
    const { headers, requestId } = forward([["X-Request-Id", id]]);
    assertEquals([requestId, valuesOf(headers, "x-request-id")], [id, [id]]);
  }
  for (const id of ["", "x".repeat(129), "a b", "a,b", "é", "a\u0000", "a/b"]) {
    const { headers, requestId } = forward([["x-request-id", id]]);
    assertNotEquals(requestId, id);
    assertMatch(requestId, /^[0-9a-f]{32}$/);
    assertEquals(valuesOf(headers, "x-request-id"), [requestId]);
  }
  assertMatch(forward([["x-request-id", "a"], ["x-request-id", "b"]]).requestId, /^[0-9a-f]{32}$/);
});

const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

Deno.test("forwardRequest() passes a trace on, with its state, and says its id", () => {
  const trace: HeaderPair[] = [["TraceParent", TRACEPARENT], ["tracestate", "a=1"], ["tracestate", "b=2"]];
  for (const connection of ["close", "traceparent"]) {
    const { headers, traceId } = forward([...trace, ["connection", connection]]);
    assertEquals(headers.filter(([name]) => name.toLowerCase().startsWith("trace")), trace);
    assertEquals(traceId, "4bf92f3577b34da6a3ce929d0e0e4736");
  }
});

Deno.test("forwardRequest() starts a trace where there is none, or none that can be read, without another's state", () => {
  const given: HeaderPair[][] = [
    [],
    [["tracestate", "a=1"]],
    [["traceparent", "00-xyz"], ["TraceState", "a=1"]],
    [["traceparent", TRACEPARENT], ["traceparent", TRACEPARENT], ["tracestate", "a=1"]],
  ];
  for (const headers of given) {
    const forwarded = forward(headers);
    const [traceparent = "", ...others] = valuesOf(forwarded.headers, "traceparent");
    assertMatch(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    assertEquals([others, valuesOf(forwarded.headers, "tracestate")], [[], []]);
    assertEquals(forwarded.traceId, traceparent.slice(3, 35));
  }
});

Deno.test("ruledRequest() applies the operator's rules", () => {
  const rules = { set: [["x-set", "new"], ["host", "inner"]] as const, remove: new Set(["user-agent"]) };
  const { headers } = forward([["X-Set", "old"], ["User-Agent", "curl"], ["host", "example.com"]], [], {
    set: rules.set.map(([name, value]): HeaderPair => [name, value]),
    remove: rules.remove,
  });
  assertEquals(valuesOf(headers, "x-set"), ["new"]);
  assertEquals(valuesOf(headers, "host"), ["inner"]);
  assertEquals(valuesOf(headers, "user-agent"), []);
});

Deno.test("forwardRequest() never changes the client's list, and lets through nothing it should not", () => {
  const name = fc.constantFrom(...HOP_BY_HOP, "X-Forwarded-For", "Host", "X-A", "x-b", "Cookie", "Content-Type");
  const pair = fc.tuple(name, fc.constantFrom("x", "x-a", "close, x-b", "trailers", "cookie"));
  fc.assert(fc.property(fc.array(pair, { maxLength: 12 }), (pairs) => {
    const before = structuredClone(pairs);
    const { headers } = forward(pairs);
    assertEquals(pairs, before);
    const named = pairs.filter(([name]) => name === "Connection").flatMap(([, value]) => value.split(", "));
    for (const [name] of headers) {
      const lower = name.toLowerCase();
      if (lower === "te" || lower === "host") continue;
      assert(!HOP_BY_HOP.map((hop) => hop.toLowerCase()).includes(lower), name);
      assert(!named.includes(lower), `${name} was named by Connection`);
    }
    const kept = pairs.filter(([name]) => ["X-A", "x-b", "Cookie", "Content-Type"].includes(name))
      .filter(([name]) => !named.includes(name.toLowerCase()));
    assertEquals(headers.filter(([name]) => kept.some((pair) => pair[0] === name)), kept);
  }));
});

Deno.test("forwardResponse() keeps each Set-Cookie and the order, drops hop-by-hop ones, sets X-Request-Id", () => {
  const headers = forwardResponse(
    answer([
      ["Set-Cookie", "a=1"],
      ["Connection", "x-hop, keep-alive"],
      ["Keep-Alive", "timeout=5"],
      ["Proxy-Authorization", "x"],
      ["TE", "x"],
      ["X-Hop", "1"],
      ["x-request-id", "the backend's"],
      ["Set-Cookie", "b=2"],
      ["Trailers", "a header that is merely named so"],
      ["transfer-encoding", "chunked"],
    ]),
    "id-1",
    NO_RULES,
  );
  assertEquals(headers, [
    ["Set-Cookie", "a=1"],
    ["Set-Cookie", "b=2"],
    ["Trailers", "a header that is merely named so"],
    ["x-request-id", "id-1"],
  ]);
});

Deno.test("forwardResponse() applies the operator's rules", () => {
  const rules: HeaderRules = { set: [["server", "roundhouse"]], remove: new Set(["x-powered-by"]) };
  assertEquals(forwardResponse(answer([["Server", "x"], ["X-Powered-By", "y"]]), "id", rules), [
    ["x-request-id", "id"],
    ["server", "roundhouse"],
  ]);
});

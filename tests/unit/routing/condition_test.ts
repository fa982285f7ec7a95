import { assertEquals } from "@std/assert";
import { Condition, queryValue, type RoutedRequest, type When } from "../../../src/routing/condition.ts";

function request(fields: Partial<RoutedRequest> & { headers?: Record<string, string> } = {}): RoutedRequest {
  const { headers = {}, ...rest } = fields;
  return { method: "GET", target: "/", client: "192.0.2.1", header: (name) => headers[name], ...rest };
}

const CASES: readonly (readonly [name: string, when: When, request: RoutedRequest, mismatch: string | undefined])[] = [
  ["nothing asked for", {}, request(), undefined],
  ["one of the methods", { method: ["GET", "HEAD"] }, request({ method: "HEAD" }), undefined],
  ["another method", { method: ["GET"] }, request({ method: "POST" }), "method"],
  ["a method in another case", { method: ["GET"] }, request({ method: "get" }), "method"],
  ["a client in the range", { client: ["10.0.0.0/8", "192.0.2.0/24"] }, request(), undefined],
  ["a client outside", { client: ["10.0.0.0/8"] }, request(), "client"],
  ["an IPv4 client in IPv6 clothes", { client: ["10.0.0.0/8"] }, request({ client: "::ffff:10.1.2.3" }), undefined],
  ["a header with the value", { header: { "X-Beta": "1" } }, request({ headers: { "x-beta": "1" } }), undefined],
  [
    "a header with another value",
    { header: { "X-Beta": "1" } },
    request({ headers: { "x-beta": "11" } }),
    "header.X-Beta",
  ],
  ["a header that is missing", { header: { "X-Beta": "1" } }, request(), "header.X-Beta"],
  [
    "a header that begins so",
    { header: { Accept: "text/*" } },
    request({ headers: { accept: "text/html" } }),
    undefined,
  ],
  [
    "a header that begins otherwise",
    { header: { Accept: "text/*" } },
    request({ headers: { accept: "a/b" } }),
    "header.Accept",
  ],
  ["a header that is there", { header: { "X-Beta": "*" } }, request({ headers: { "x-beta": "" } }), undefined],
  ["a header that is not there", { header: { "X-Beta": null } }, request(), undefined],
  [
    "a header that should not be there",
    { header: { "X-Beta": null } },
    request({ headers: { "x-beta": "" } }),
    "header.X-Beta",
  ],
  ["a cookie", { cookie: { beta: "yes" } }, request({ headers: { cookie: "a=b; beta=yes" } }), undefined],
  ["another cookie", { cookie: { beta: "yes" } }, request({ headers: { cookie: "a=b; xbeta=yes" } }), "cookie.beta"],
  ["a parameter", { query: { v: "2" } }, request({ target: "/x?a=1&v=2" }), undefined],
  ["a parameter of the path", { query: { v: "2" } }, request({ target: "/v=2" }), "query.v"],
  ["all of several", { method: ["GET"], query: { v: "*" } }, request({ target: "/?v" }), undefined],
  ["not all of several", { method: ["GET"], query: { v: "*", w: "1" } }, request({ target: "/?v" }), "query.w"],
];

for (const [name, when, asked, mismatch] of CASES) {
  Deno.test(`Condition ${mismatch === undefined ? "holds" : "does not hold"} for ${name}`, () => {
    const condition = new Condition(when);
    assertEquals(condition.holds(asked), mismatch === undefined);
    assertEquals(condition.mismatch(asked)?.where, mismatch);
  });
}

Deno.test("queryValue() finds the first parameter of a name, as forms encode it", () => {
  assertEquals(queryValue("/?a=1&b=2&b=3", "b"), "2");
  assertEquals(queryValue("/?b=x%20y+z", "b"), "x y z");
  assertEquals(queryValue("/?%62=1", "b"), "1");
  assertEquals(queryValue("/?b", "b"), "");
  assertEquals(queryValue("/?b=%zz", "b"), "%zz");
  assertEquals(queryValue("/?a&&=1&b=?", "b"), "?");
  assertEquals(queryValue("/b=1", "b"), undefined);
  assertEquals(queryValue("/?", "b"), undefined);
});

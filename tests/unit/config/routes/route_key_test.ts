import { assertEquals, assertThrows } from "@std/assert";
import { MalformedKey, parseRouteKey } from "../../../../src/config/routes/route_key.ts";

Deno.test("parseRouteKey() reads hosts and paths", () => {
  assertEquals(parseRouteKey("Example.COM/Api/*"), {
    host: { kind: "exact", name: "example.com" },
    path: "/Api",
    isPrefix: true,
  });
  assertEquals(parseRouteKey("*.example.com/"), {
    host: { kind: "wildcard", suffix: ".example.com" },
    path: "/",
    isPrefix: false,
  });
  assertEquals(parseRouteKey("*/*"), { host: { kind: "any" }, path: "", isPrefix: true });
  assertEquals(parseRouteKey("10.0.0.1/x").host, { kind: "exact", name: "10.0.0.1" });
  assertEquals(parseRouteKey("[0:0::1]/x").host, { kind: "exact", name: "[::1]" });
  assertEquals(parseRouteKey("*/.well-known/..a/*").path, "/.well-known/..a");
  assertEquals(parseRouteKey("*/%7euser/%c3%bc").path, "/~user/%C3%BC");
});

const MALFORMED: readonly (readonly [key: string, reason: string])[] = [
  ["", "want HOST/PATH"],
  ["example.com", "want HOST/PATH"],
  ["example.com*", "such as example.com/*"],
  ["*", "such as */*"],
  ["b\u00fccher.example/*", "want the host as browsers send it, xn--bcher-kva.example"],
  ["*/a/../b", "without . and .. as segments"],
  ["*/%2e/*", "without . and .. as segments"],
  ["/api/*", "want a host in front of the path"],
  ["example.com:80/*", "without a port"],
  ["https://example.com/*", "without a scheme, such as example.com/*"], // not "without a port"
  ["exa*mple.com/*", "want * for any host"],
  ["*example.com/*", "want * for any host"],
  ["-x.example/*", "want a host name"],
  ["exa mple/*", "want a host name"],
  ["[::g]/*", "want a host name"],
  ["[:::]/*", "want a host name"],
  ["*/a*/b", "as its last segment alone"],
  ["*/a*", "as its last segment alone"],
  ["*/a/*/b", "as its last segment alone"],
  ["*/a?b", "without a query"],
  ["*/a#b", "without a query"],
  ["*/%zz", "two hexadecimal digits"],
  ["*/%00", "without %00"],
  ["*/ü", "visible ASCII"],
];

for (const [key, reason] of MALFORMED) {
  Deno.test(`parseRouteKey() refuses ${JSON.stringify(key)}`, () => {
    assertThrows(() => parseRouteKey(key), MalformedKey, reason);
  });
}

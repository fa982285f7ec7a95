import { assertEquals, assertThrows } from "@std/assert";
import { Location, MalformedLocation, type RedirectedRequest } from "../../../../src/config/routes/location.ts";

const REQUEST: RedirectedRequest = { secure: true, authority: "www.example.com:8443", target: "//evil.example/a?b=c" };

const LOCATIONS: readonly (readonly [template: string, location: string])[] = [
  ["https://example.com{uri}", "https://example.com//evil.example/a?b=c"],
  ["{scheme}://{host}{path}", "https://www.example.com//evil.example/a"],
  ["{scheme}://{host}:8080/new{path}{query}", "https://www.example.com:8080/new//evil.example/a?b=c"],
  ["http://example.com/uri", "http://example.com/uri"],
  ["http://example.com{path}uri", "http://example.com//evil.example/auri"],
  ["/moved", "/moved"],
  ["/moved{query}", "/moved?b=c"],
];

for (const [template, location] of LOCATIONS) {
  Deno.test(`Location ${template}`, () => assertEquals(new Location(template).for(REQUEST), location));
}

Deno.test("Location takes OPTIONS * for the root, and leaves out what is not there", () => {
  const request = { secure: false, authority: "[::1]:80", target: "*" };
  assertEquals(new Location("{scheme}://{host}{uri}").for(request), "http://[::1]/");
  assertEquals(new Location("{scheme}://{host}{path}{query}").for({ ...request, target: "/x" }), "http://[::1]/x");
});

// Each of these would let a client choose where the redirect leads.
const MALFORMED: readonly (readonly [template: string, reason: string])[] = [
  ["{uri}", "want a path, or http://"],
  ["{path}", "want a path, or http://"],
  ["/{path}", "behind a host"],
  ["/x{uri}", "behind a host"],
  ["//evil.example/", "want a path, or http://"],
  ["/\\evil.example/", "want a path, or http://"],
  ["javascript:alert(1)", "want a path, or http://"],
  ["https://", "want a path, or http://"],
  ["https://x{host}/", "want a path, or http://"],
  ["https://example.com/{host}", "at the beginning"],
  ["/{scheme}", "at the beginning"],
  ["https://example.com/{nothing}", "want one of {scheme}, {host}, {path}, {query}, {uri}"],
  ["https://example.com{url}", "{query}, {uri}, did you mean {uri}?"], // not "want a host"
  ["https://example.com/a b", "visible ASCII"],
  ["https://example.com/\r\nSet-Cookie:x", "visible ASCII"],
  ["", "visible ASCII"],
];

for (const [template, reason] of MALFORMED) {
  Deno.test(`Location refuses ${JSON.stringify(template)}`, () => {
    assertThrows(() => new Location(template), MalformedLocation, reason);
  });
}

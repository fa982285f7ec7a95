import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { climbsOut } from "../../../src/http1/climbs_out.ts";
import { looseForm, pathEnd, plainForm } from "../../../src/http1/path_form.ts";
import { pathRewrite } from "../../../src/routing/path_rewrite.ts";

/** What a backend gets; `undefined`: the target is refused. */
function rewritten(target: string, stripPrefix: string | null, addPrefix: string | null = null): string | undefined {
  const rewrite = pathRewrite({ stripPrefix, addPrefix });
  return rewrite === undefined ? target : rewrite.apply(target);
}

Deno.test("pathRewrite() cuts a prefix off, and puts one before the path", () => {
  assertEquals(pathRewrite({ stripPrefix: null, addPrefix: null }), undefined);
  assertEquals(rewritten("/v1/x?y=/v1", "/v1"), "/x?y=/v1");
  assertEquals(rewritten("/v1", "/v1"), "/");
  assertEquals(rewritten("/v1/", "/v1"), "/");
  assertEquals(rewritten("/v1?x", "/v1"), "/?x");
  assertEquals(rewritten("/a/b/c", "/a/b"), "/c");
  assertEquals(rewritten("/x?y", null, "/app"), "/app/x?y");
  assertEquals(rewritten("/v1/x", "/v1", "/v2"), "/v2/x");
  assertEquals(rewritten("*", "/v1", "/v2"), "*");
});

Deno.test("pathRewrite() cuts as much off as the client has written, however it has written it", () => {
  // The prefix was cut off by its length: of an escaped one a part was left, and the path that went on was another one.
  assertEquals(rewritten("/%761/x", "/v1"), "/x");
  assertEquals(rewritten("/%76%31", "/v1"), "/");
  assertEquals(rewritten("/a%2fb/x", "/a%2Fb"), "/x");
  assertEquals(rewritten("/a%2Fb/x", "/a%2fb"), "/x");
  assertEquals(rewritten("/v1/%76", "/v1"), "/%76");
});

Deno.test("pathRewrite() leaves one slash before the rest, so that no backend is led to name another host", () => {
  for (const target of ["/v1//evil.example", "/v1/\\evil.example", "/v1///evil.example"]) {
    assertEquals(rewritten(target, "/v1"), "/evil.example", target);
  }
  assertEquals(rewritten("/v1/x//y", "/v1"), "/x//y");
});

Deno.test("pathRewrite() refuses what climbs above what is left, or out of what is put before it", () => {
  for (const tail of ["..", "../x", "x/../../y", "%2e%2e/x", "..%2fx", "..;/x", "..\\x", "..%5cx"]) {
    assertEquals(rewritten(`/v1/${tail}`, "/v1"), undefined, tail);
    assertEquals(rewritten(`/${tail}`, null, "/app"), undefined, tail);
  }
  assertEquals(rewritten("/v1/x/../y", "/v1", "/app"), "/app/x/../y");
});

Deno.test("pathRewrite() never gives a backend a path outside of what is put before it", () => {
  const segment = fc.constantFrom("a", "b", "..", ".", "", "%2e%2e", "..;x", "%2f", "%5c", "\\", "..%2f", "%41");
  const tail = fc.array(segment, { maxLength: 6 }).map((segments) => segments.map((one) => `/${one}`).join(""));
  fc.assert(
    fc.property(tail, fc.constantFrom(null, "/v1", "/a"), fc.constantFrom("", "?x=/../y"), (tail, strip, query) => {
      const target = `${strip ?? ""}${tail === "" ? "/" : tail}${query}`;
      const got = rewritten(target, strip, "/app");
      if (got === undefined) return;
      const path = got.slice(0, pathEnd(got));
      assertEquals(got.slice(path.length), query);
      assertEquals(`${looseForm(path)}/`.startsWith("/app/"), true, `${target} became ${got}`);
      assertEquals(climbsOut(path.slice("/app".length)), false);
      if (strip === null) assertEquals(plainForm(path), `/app${plainForm(target.slice(0, pathEnd(target)))}`);
    }),
    { numRuns: 3000 },
  );
});

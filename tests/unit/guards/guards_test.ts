// Guards by themselves: which of them are asked for a request, in which order, and who gets to know what they did.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ConfigFile } from "../../../src/config/schema.ts";
import { looseForm, plainForm } from "../../../src/http1/path_form.ts";
import { NO_ROUTE } from "../../../src/memory/route_counts.ts";
import { RoutedBench, valueIn } from "../../support/routed_bench.ts";

const POOLS: ConfigFile = { backends: ["http://default"], pools: { api: { backends: ["http://api"] } } };

async function statusFrom(bench: RoutedBench, peer: string, target = "/", authority = "x"): Promise<string> {
  return (await bench.ask({ peer, target, authority })).to;
}

Deno.test("deny comes before allow, and a client that neither names gets 403 where there is an allow", async () => {
  using bench = new RoutedBench({ ...POOLS, deny: ["10.0.0.9"], allow: ["10.0.0.0/24", "2001:db8::/32"] });
  assertEquals(await statusFrom(bench, "10.0.0.1"), "default");
  assertEquals(await statusFrom(bench, "10.0.0.9"), "403");
  assertEquals(await statusFrom(bench, "10.0.1.1"), "403");
  assertEquals(await statusFrom(bench, "2001:db8::1"), "default");
  assertEquals(await statusFrom(bench, "2001:db9::1"), "403");
  assertEquals(bench.memory.requestTotals().failed, 0, "a refusal is no failure");
  assertEquals(bench.memory.routes.refused(NO_ROUTE, "deny"), 1);
  assertEquals(bench.memory.routes.refused(NO_ROUTE, "allow"), 2);
});

Deno.test("an empty allow lets nobody in, and an empty deny lets all in", async () => {
  using closed = new RoutedBench({ ...POOLS, allow: [] });
  assertEquals(await statusFrom(closed, "10.0.0.1"), "403");
  using open = new RoutedBench({ ...POOLS, deny: [] });
  assertEquals(await statusFrom(open, "10.0.0.1"), "default");
});

Deno.test("guards of all hold for redirects, responses and what no route takes; a route's own replaces each", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    deny: ["10.0.0.1"],
    allow: ["10.0.0.0/8"],
    routes: {
      "x/*": "api",
      "x/moved": { redirect: "/" },
      "x/page": { respond: 200 },
      "x/open": { pool: "api", deny: null, allow: null },
      "x/robots.txt": { respond: 204, allow: null },
      "x/own": { pool: "api", deny: ["10.0.0.2"] },
    },
  });
  for (const target of ["/", "/moved", "/page"]) assertEquals(await statusFrom(bench, "10.0.0.1", target), "403");
  assertEquals(await statusFrom(bench, "10.0.0.1", "/", "nowhere"), "403");
  assertEquals(await statusFrom(bench, "10.0.0.2", "/", "nowhere"), "404");
  assertEquals(await statusFrom(bench, "10.0.0.2", "/moved"), "308");
  assertEquals(await statusFrom(bench, "192.0.2.1", "/open"), "api");
  assertEquals(await statusFrom(bench, "10.0.0.1", "/open"), "api");
  assertEquals(await statusFrom(bench, "192.0.2.1", "/robots.txt"), "204", "outside allow, which the entry has not");
  assertEquals(await statusFrom(bench, "10.0.0.1", "/robots.txt"), "403", "deny is still the one for all");
  assertEquals(await statusFrom(bench, "10.0.0.1", "/own"), "api");
  assertEquals(await statusFrom(bench, "10.0.0.2", "/own"), "403");
  assertEquals(await statusFrom(bench, "192.0.2.1", "/own"), "403");
});

Deno.test("what a guard refuses is a problem, counts at its route and no pool, and is logged with its name", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    log: { access: true },
    routes: { "x/*": { pool: "api", deny: ["10.0.0.1"] } },
  });
  const { answer, sent } = await bench.ask({ peer: "10.0.0.1", bodyBytes: 5 });
  assertEquals(answer?.status, 403);
  assertEquals(valueIn(answer?.headers ?? [], "content-type"), "application/problem+json");
  assertEquals(sent, []);
  assertEquals(bench.pools.get("api")?.shared.counts.sums().requests, 0);
  const [refused, request] = bench.log.lines;
  assertEquals([refused?.level, refused?.message, refused?.fields["code"]], ["debug", "request refused", "denied"]);
  const { route, pool, refusedBy, error } = request?.fields ?? {};
  assertEquals({ route, pool, refusedBy, error }, { route: "x/*", pool: null, refusedBy: "deny", error: "denied" });
});

Deno.test("the address that counts is the client's, as trusted proxies tell it, and nobody else's word for it", async () => {
  using bench = new RoutedBench({ ...POOLS, proxy: { trustForwarded: ["192.0.2.1"] }, deny: ["10.0.0.1"] });
  const claim = (peer: string, name: string) => bench.ask({ peer, headers: [[name, "10.0.0.1"]] });
  assertEquals((await claim("192.0.2.1", "X-Forwarded-For")).to, "403");
  assertEquals((await claim("192.0.2.9", "X-Forwarded-For")).to, "default");
  const told = await bench.ask({
    peer: "10.0.0.1",
    headers: [["X-Forwarded-For", "8.8.8.8"], ["x_forwarded_for", "1"]],
  });
  assertEquals(told.to, "403");
});

const segment = fc.constantFrom(
  ...["a", "admin", "%61dmin", "ad%6Din", "ADMIN", "..", ".", "", "..;", "..;x=1", ";", "%2e%2e", "%2e", "a;x"],
  ...["%2f", "a%2fadmin", "..%2fadmin", "%5c", "\\", "..\\admin", "%00", "%252e", "%", "x?/admin", "#"],
);
const path = fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join("/")}`);
const claim = fc.tuple(
  fc.constantFrom("X-Forwarded-For", "x_forwarded_for", "X-Forwarded_For", "X-Real-IP", "X_Real_IP", "Forwarded"),
  fc.constantFrom("192.0.2.1", "for=192.0.2.1", "192.0.2.1, 10.0.0.1", "::ffff:192.0.2.1"),
);

Deno.test("no path that any backend reads as one below a guard, no method and no header gets anybody past it", async () => {
  using bench = new RoutedBench({
    ...POOLS,
    routes: { "*/*": "default", "*/admin/*": { pool: "api", allow: ["192.0.2.1"] } },
  });
  const requests = fc.record({
    target: path,
    method: fc.constantFrom("GET", "HEAD", "POST", "OPTIONS", "PURGE", "get"),
    headers: fc.array(claim, { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(requests, async (head) => {
      const { to, target } = await bench.ask({ ...head, peer: "10.0.0.1" });
      assert(to !== "api", "the client is not allowed there");
      if (to !== "default") return;
      const [sent = ""] = target.split(/[?#]/);
      for (const read of [plainForm(sent), looseForm(sent)]) assert(!/^\/admin(\/|$)/.test(read), `${target}: ${read}`);
    }),
    { numRuns: 2000 },
  );
});

// What a request comes to with routes: the pool, the answer, what the backend gets, and what is recorded.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ConfigFile } from "../../../src/config/schema.ts";
import { looseForm, plainForm } from "../../../src/http1/path_form.ts";
import { RoutedBench, valueIn } from "../../support/routed_bench.ts";

const A: ConfigFile = {
  backends: ["http://default"],
  pools: { api: { backends: ["http://api"] }, beta: { backends: ["http://beta"] }, empty: {} },
};

Deno.test("Forwarder sends each request to the pool of its route, and answers 404 without one", async () => {
  using bench = new RoutedBench({
    ...A,
    routes: {
      "example.com/*": "default",
      "example.com/api/*": "api",
      "*.example.com/*": "beta",
      "example.com/none/*": "empty",
    },
  });
  assertEquals(await bench.to("/", "example.com"), "default");
  assertEquals(await bench.to("/api", "EXAMPLE.COM:8080"), "api");
  assertEquals(await bench.to("/api/x?y", "example.com."), "api");
  assertEquals(await bench.to("/apix", "example.com"), "default");
  assertEquals(await bench.to("/api", "a.b.example.com"), "beta");
  assertEquals(await bench.to("/", "example.org"), "404");
  assertEquals(await bench.to("/none", "example.com"), "503");
  assertEquals((await bench.ask({ method: "OPTIONS", target: "*", authority: "example.com" })).to, "default");
  assertEquals(bench.memory.requestTotals().failed, 1, "404 is nobody's failure, a pool without backends is");
});

Deno.test("Forwarder takes the first entry whose conditions hold, and 404 where none does", async () => {
  using bench = new RoutedBench({
    ...A,
    proxy: { trustForwarded: ["192.0.2.1"] },
    routes: {
      "x/*": [
        { when: { method: "POST" }, pool: "api" },
        { when: { header: { "X-Beta": "1" }, query: { v: "2*" } }, pool: "beta" },
        { when: { client: ["10.0.0.0/8"] }, respond: 403 },
      ],
    },
  });
  assertEquals((await bench.ask({ method: "POST" })).to, "api");
  assertEquals((await bench.ask({ target: "/?v=21", headers: [["x-beta", "1"]] })).to, "beta");
  assertEquals((await bench.ask({ target: "/?v=1", headers: [["x-beta", "1"]] })).to, "404");
  assertEquals((await bench.ask({ headers: [["X-Forwarded-For", "10.1.2.3"]] })).to, "403");
  assertEquals((await bench.ask({})).to, "404");
});

Deno.test("Forwarder lets no client claim what only a trusted proxy may say", async () => {
  // A route by `X-Forwarded-Proto` or `X-Real-IP` took the word of anybody, although no backend ever saw it.
  const routes: ConfigFile["routes"] = {
    "x/*": [
      { when: { header: { "X-Forwarded-Proto": "https" } }, pool: "api" },
      { when: { header: { "X-Real-IP": "*" } }, pool: "beta" },
      { when: { header: { "x_real_ip": "*" } }, pool: "beta" },
      { pool: "default" },
    ],
  };
  const claims: [string, string][] = [["X-Forwarded-Proto", "https"], ["X-Real-IP", "::1"], ["x_real_ip", "::1"]];
  using open = new RoutedBench({ ...A, routes });
  for (const claim of claims) assertEquals((await open.ask({ headers: [claim] })).to, "default", claim[0]);
  assertEquals((await open.ask({ secure: true })).to, "api", "the connection's own scheme");
  using trusting = new RoutedBench({ ...A, proxy: { trustForwarded: ["192.0.2.0/24"] }, routes });
  assertEquals((await trusting.ask({ headers: [["X-Forwarded-Proto", "https"]] })).to, "api");
  assertEquals((await trusting.ask({ headers: [["X-Real-IP", "::1"]] })).to, "beta");
});

Deno.test("Forwarder answers redirects and fixed responses itself, and counts none of them as failed", async () => {
  using bench = new RoutedBench({
    ...A,
    log: { access: true },
    proxy: { maxBodySize: 1 },
    routes: {
      "www.x/*": { redirect: "{scheme}://x{uri}", name: "apex" },
      "x/*": { respond: { status: 503, body: "soon", headers: { "Retry-After": "60" } } },
    },
  });
  const moved = await bench.ask({ method: "POST", bodyBytes: 5, authority: "www.x", target: "/a?b" });
  assertEquals([moved.answer?.status, valueIn(moved.answer?.headers ?? [], "location")], [308, "http://x/a?b"]);
  assert(valueIn(moved.answer?.headers ?? [], "x-request-id") !== undefined);
  const soon = await bench.ask({ headers: [["X-Request-Id", "id-1"]] });
  assertEquals([soon.answer?.status, soon.answer?.title], [503, "Service Unavailable"]);
  assertEquals(soon.answer?.headers, [
    ["content-type", "text/plain; charset=utf-8"],
    ["retry-after", "60"],
    ["x-request-id", "id-1"],
  ]);
  const { total, failed, active } = bench.memory.requestTotals();
  assertEquals([total, failed, active], [2, 0, 0]);
  const told = bench.log.lines.filter(({ message }) => message === "request");
  assertEquals(told.map(({ fields }) => [fields?.route, fields?.pool, fields?.status, fields?.bytesOut]), [
    ["www.x/* apex", null, 308, 0],
    ["x/*", null, 503, 4],
  ]);
});

Deno.test("Forwarder refuses malformed requests before it looks for a route", async () => {
  using bench = new RoutedBench({ ...A, log: { access: true }, routes: { "*/*": { respond: 200 } } });
  assertEquals((await bench.ask({ authority: undefined })).to, "400");
  assertEquals((await bench.ask({ authority: "a/b" })).to, "400");
  assertEquals((await bench.ask({ method: "TRACE" })).to, "405");
  bench.forwarder.stop();
  assertEquals((await bench.ask({})).to, "503");
  assertEquals(bench.log.lines.filter(({ fields }) => fields?.route != null || fields?.pool != null), []);
});

Deno.test("Forwarder gives the backend the rewritten target, and tells what was cut off", async () => {
  using bench = new RoutedBench({
    ...A,
    log: { access: true },
    routes: { "x/v1/*": { pool: "api", stripPrefix: "/v1", addPrefix: "/app" }, "x/*": "default" },
  });
  const { to, target, sent } = await bench.ask({
    target: "/v1/a?b",
    headers: [["X-Forwarded-Prefix", "/fake"], ["X_Forwarded_Prefix", "/fake"]],
  });
  assertEquals([to, target, valueIn(sent, "x-forwarded-prefix")], ["api", "/app/a?b", "/v1"]);
  assertEquals(valueIn((await bench.ask({ target: "/a" })).sent, "x-forwarded-prefix"), undefined);
  assertEquals(await bench.to("/v1/../a"), "400");
  assertEquals(await bench.to("/v1/a/../.."), "400");
  assertEquals(await bench.to("/v1/x/%2e%2e/%2e%2e/%2e%2e/v1/y"), "400");
  assertEquals(bench.log.lines.find(({ message }) => message === "request")?.fields?.path, "/v1/a");
});

Deno.test("Forwarder adds to the prefix that a trusted proxy has cut off", async () => {
  using bench = new RoutedBench({
    ...A,
    proxy: { trustForwarded: ["192.0.2.0/24"] },
    routes: { "*/v1/*": { pool: "api", stripPrefix: "/v1" }, "*/*": "default" },
  });
  const prefixFor = async (target: string) => {
    const { sent } = await bench.ask({ target, headers: [["X-Forwarded-Prefix", "/outer/"]] });
    return valueIn(sent, "x-forwarded-prefix");
  };
  assertEquals([await prefixFor("/v1/x"), await prefixFor("/x")], ["/outer/v1", "/outer/"]);
});

Deno.test("Forwarder goes by the rules of the route, over those of the file key by key", async () => {
  using bench = new RoutedBench({
    ...A,
    proxy: { maxBodySize: 10 },
    headers: {
      request: { set: { "X-Top": "1", "X-Both": "top" }, remove: ["X-Gone"] },
      response: { set: { "X-Answer": "top" } },
    },
    routes: {
      "x/*": "default",
      "x/own/*": {
        pool: "api",
        maxBodySize: 20,
        headers: {
          request: { set: { Host: "inner", "x-both": "own" } },
          response: { remove: ["X-Answer"] },
        },
      },
      "x/free/*": { pool: "api", maxBodySize: null, headers: { request: { remove: ["X-Top"] } } },
    },
  });
  const ask = (target: string, bodyBytes: number) => {
    return bench.ask({ method: "POST", target, bodyBytes, headers: [["X-Gone", "1"], ["X-Top", "0"]] });
  };
  const marks = (sent: Parameters<typeof valueIn>[0]) => {
    return ["host", "x-top", "x-both", "x-gone"].map((name) => valueIn(sent, name));
  };
  const top = await ask("/", 10);
  assertEquals([top.to, ...marks(top.sent)], ["default", "x", "1", "top", undefined]);
  assertEquals(valueIn(top.headers, "x-answer"), "top");
  assertEquals((await ask("/", 11)).to, "413");
  const own = await ask("/own", 20);
  assertEquals([own.to, ...marks(own.sent)], ["api", "inner", "1", "own", undefined]);
  assertEquals([valueIn(own.headers, "x-answer"), valueIn(own.sent, "x-forwarded-host")], [undefined, "x"]);
  assertEquals((await ask("/own", 21)).to, "413");
  const free = await ask("/free", 1e9);
  assertEquals([free.to, ...marks(free.sent)], ["api", "x", undefined, "top", "1"]);
});

Deno.test("Forwarder splits by weight, and a session keeps its side whatever the weights are", async () => {
  const pools: ConfigFile["pools"] = {
    old: { backends: ["http://old"], sticky: { by: "cookie" } },
    new: { backends: ["http://new"], sticky: { by: "cookie" } },
  };
  const at = (weights: Record<string, number>) => {
    return new RoutedBench({ backends: ["http://default"], pools, routes: { "*/*": { pool: weights } } });
  };
  using half = at({ old: 50, new: 50 });
  const seen = new Map<string, string>();
  for (let client = 0; client < 200; client++) {
    const peer = `10.0.0.${client}`;
    const { to, headers } = await half.ask({ peer });
    assertEquals((await half.ask({ peer })).to, to, "the same client, the same side");
    seen.set(to, valueIn(headers, "set-cookie")?.split(";")[0] ?? "");
  }
  assertEquals([...seen.keys()].sort(), ["new", "old"]);
  const session = (side: string): [string, string][] => [["cookie", seen.get(side) ?? ""]];
  using mostlyNew = at({ old: 1, new: 1000 });
  for (let client = 0; client < 20; client++) {
    const peer = `10.0.1.${client}`;
    assertEquals((await mostlyNew.ask({ peer, headers: session("old") })).to, "old");
  }
  using onlyNew = at({ old: 0, new: 1 });
  assertEquals((await onlyNew.ask({ headers: session("old") })).to, "new", "a side of weight 0 takes nobody");
});

Deno.test("Forwarder answers 503 for a side without eligible backends, and moves no request", async () => {
  using bench = new RoutedBench({ ...A, routes: { "*/*": { pool: { api: 1, empty: 1 }, splitBy: "request" } } });
  const sides = [];
  for (let request = 0; request < 4; request++) sides.push((await bench.ask()).to);
  assertEquals(sides.sort(), ["503", "503", "api", "api"]);
});

Deno.test("Forwarder counts in each pool's own retry budget, and logs route and pool", async () => {
  using bench = new RoutedBench({
    ...A,
    log: { access: true },
    routes: { "x/*": [{ when: { method: "PUT" }, pool: "beta", name: "writes" }, { pool: "api" }] },
  });
  await bench.ask({ method: "PUT" });
  await bench.ask({});
  const told = bench.log.lines.filter(({ message }) => message === "request");
  assertEquals(told.map(({ fields }) => [fields?.route, fields?.pool]), [["x/* writes", "beta"], ["x/* #1", "api"]]);
});

const POOLS = ["p0", "p1", "p2", "p3"];
const keySegment = fc.constantFrom("a", "b", "admin", "public");
const keyPath = fc.tuple(fc.array(keySegment, { maxLength: 2 }), fc.boolean()).map(([segments, isPrefix]) => {
  return segments.length === 0 ? (isPrefix ? "/*" : "/") : `/${segments.join("/")}${isPrefix ? "/*" : ""}`;
});
const keys = fc.uniqueArray(fc.tuple(fc.constantFrom("*", "x", "*.x"), keyPath).map((parts) => parts.join("")), {
  minLength: 1,
  maxLength: 8,
});
const spelledSegment = fc.constantFrom(
  ...["a", "b", "admin", "public", "%61dmin", "ad%6Din", "ADMIN", "..", ".", "", "..;", "..;x=1", ";", "%2e%2e", "%2e"],
  ...["%2f", "a%2fadmin", "..%2fadmin", "%5c", "\\", "..\\admin", "a;x", "%00", "%252e", "%"],
);
const spelledPath = fc.array(spelledSegment, { maxLength: 5 }).map((segments) => `/${segments.join("/")}`);

/** The contract by the letter, for keys whose hosts are `x`, `*.x` and `*`. */
function referencePool(keys: readonly string[], authority: string, path: string): string {
  const own = (host: string) => keys.filter((key) => key.slice(0, key.indexOf("/")) === host);
  const hosts = authority === "x" ? ["x", "*"] : authority.endsWith(".x") ? ["*.x", "*"] : ["*"];
  const routes = own(hosts.find((host) => own(host).length > 0) ?? "*");
  const pathOf = (key: string) => key.slice(key.indexOf("/"));
  const exact = routes.find((key) => pathOf(key) === path);
  const prefixes = routes.filter((key) => key.endsWith("/*") && `${path}/`.startsWith(pathOf(key).slice(0, -1)));
  const key = exact ?? prefixes.sort((a, b) => b.length - a.length)[0];
  return key === undefined ? "404" : POOLS[keys.indexOf(key) % POOLS.length] ?? "";
}

Deno.test("Forwarder takes each path where a plain list of rules takes it, and no spelling elsewhere", async () => {
  const pools = Object.fromEntries(POOLS.map((name) => [name, { backends: [`http://${name}`] }]));
  await fc.assert(
    fc.asyncProperty(
      keys,
      fc.array(fc.tuple(fc.constantFrom("x", "a.x", "y"), spelledPath), { minLength: 10, maxLength: 10 }),
      async (keys, requests) => {
        const routes = Object.fromEntries(keys.map((key, index) => [key, POOLS[index % POOLS.length] ?? ""]));
        using bench = new RoutedBench({ pools, routes });
        for (const [authority, path] of requests) {
          const { to, target } = await bench.ask({ authority, target: path });
          if (to === "400") continue;
          assertEquals(to, referencePool(keys, authority, plainForm(path)), `${authority}${path}`);
          // What the most lenient backend makes of the path belongs to the same pool.
          assertEquals(to, referencePool(keys, authority, looseForm(path)), `${authority}${path}, read leniently`);
          if (to !== "404") assertEquals(target, path, "the path that chooses is the path that goes on");
        }
      },
    ),
    { numRuns: 150 },
  );
});

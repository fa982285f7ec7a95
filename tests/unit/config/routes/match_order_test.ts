// The order in which routes are shown has to be the one in which they are matched.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { inMatchOrder, leadsTo } from "../../../../src/config/routes/match_order.ts";
import { hostName, parseRouteKey } from "../../../../src/config/routes/route_key.ts";
import { configSchema } from "../../../../src/config/schema.ts";
import { RouteTable } from "../../../../src/routing/route_table.ts";

function ordered(keys: readonly string[]): string[] {
  return inMatchOrder(Object.fromEntries(keys.map((key) => [key, []]))).map(([key]) => key);
}

/** The first host that takes the authority, and of its keys the first that takes the path. */
function firstMatch(keys: readonly string[], authority: string, path: string): string | undefined {
  const parsed = keys.map((key) => ({ key, ...parseRouteKey(key) }));
  const takesHost = ({ host }: typeof parsed[number]) =>
    host.kind === "any" || (host.kind === "exact" ? host.name === authority : authority.endsWith(host.suffix));
  const host = parsed.find(takesHost)?.host;
  if (host === undefined) return undefined;
  return parsed.filter((other) => hostName(other.host) === hostName(host)).find(({ path: own, isPrefix }) =>
    path === own || (isPrefix && path.startsWith(`${own}/`))
  )?.key;
}

Deno.test("the first key in match order that takes a request is the one that the table finds", () => {
  const hosts = ["a.b.c", "b.c", "x.b.c", "c"];
  const paths = ["", "/a", "/a/b", "/ab"];
  const key = fc.tuple(fc.constantFrom(...hosts, "*", "*.b.c", "*.c"), fc.constantFrom(...paths), fc.boolean())
    .map(([host, path, isPrefix]) => `${host}${isPrefix ? `${path}/*` : path === "" ? "/" : path}`);
  const target = fc.tuple(fc.constantFrom(...hosts), fc.constantFrom(...paths, "/a/b/c", "/abc"));
  fc.assert(fc.property(fc.uniqueArray(key, { maxLength: 20 }), target, (keys, [authority, path]) => {
    const table = new RouteTable(keys.map((key) => [parseRouteKey(key), key] as const));
    const asked = path === "" ? "/" : path;
    assertEquals(firstMatch(ordered(keys), authority, asked), table.find(authority, asked));
  }));
});

Deno.test("the match order has exact hosts first, then wildcards, then any host, and the alphabet where nothing else decides", () => {
  const keys = ["*/*", "b.c/*", "*.c/*", "a.c/x/*", "a.c/x/y", "*.b.c/*", "a.c/*", "a.c/a"];
  assertEquals(ordered(keys), ["a.c/a", "a.c/x/y", "a.c/x/*", "a.c/*", "b.c/*", "*.b.c/*", "*.c/*", "*/*"]);
});

Deno.test("what an entry leads to is a short text", () => {
  const { routes } = configSchema.parse({
    backends: ["http://127.0.0.1"],
    pools: { api: {} },
    routes: {
      "*/1": "api",
      "*/2": { pool: { api: 95, default: 5 } },
      "*/3": { redirect: "https://x{uri}" },
      "*/4": { respond: 503 },
    },
  });
  const texts = Object.values(routes ?? {}).flat().map(leadsTo);
  assertEquals(texts, ["api", "api 95, default 5", "redirect 308 https://x{uri}", "respond 503"]);
});

import { assertEquals } from "@std/assert";
import { validateConfig } from "../../../src/config/validate.ts";
import { ConfigError } from "../../../src/errors.ts";

/** The lines that refuse `raw`; none when it is accepted. */
function linesOf(raw: unknown): readonly string[] {
  try {
    validateConfig(raw);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

Deno.test("the same URL in two pools is two backends, twice in one pool an error", () => {
  assertEquals(linesOf({ backends: ["http://a"], pools: { p: { backends: ["http://a"] } } }), []);
  assertEquals(linesOf({ pools: { p: { backends: ["http://a", "http://A:80/"] } } }), [
    "pools.p.backends[1]: same backend as pools.p.backends[0] (http://a)",
  ]);
});

Deno.test("all pools together have at most 4,096 backends", () => {
  const list = (name: string, count: number) => Array.from({ length: count }, (_, index) => `http://${name}${index}`);
  const of = (one: number, other: number) =>
    linesOf({ backends: list("a", one), pools: { p: { backends: list("b", other) } } });
  assertEquals(of(4000, 96), []);
  assertEquals(of(4000, 97), ["pools: got 4097 backends in all pools, want at most 4096"]);
  assertEquals(of(0, 4097), ["pools.p.backends: got 4097, want at most 4096 backends"]);
});

Deno.test("what the settings of a pool must not be together is told where the pool says it, and once where all inherit it", () => {
  const head = { method: "HEAD", body: "ok" };
  const because = "can't be checked with health.method HEAD: a response to HEAD has no body";
  assertEquals(linesOf({ health: { body: "ok" }, pools: { a: { health: { method: "HEAD" } }, b: {} } }), [
    `pools.a.health.body: ${because}`,
  ]);
  assertEquals(
    linesOf({ health: head, pools: { a: {}, b: { health: { interval: "1s" } }, c: { health: { type: "tcp" } } } }),
    [
      `health.body: ${because}`,
    ],
  );
  assertEquals(linesOf({ pools: { a: { sticky: { sameSite: "none", secure: false } } } }), [
    'pools.a.sticky.secure: got false, want true or null, because sticky.sameSite is "none"',
  ]);
});

Deno.test("two pools have cookies of the same name only where no request carries both", () => {
  const cookie = { cookie: "c" };
  const ofTwo = (one: object, other: object) => linesOf({ pools: { a: { sticky: one }, b: { sticky: other } } }).length;
  const cases: readonly (readonly [object, object, number])[] = [
    [cookie, cookie, 1],
    [cookie, { cookie: "C" }, 0],
    [cookie, { ...cookie, by: "ip" }, 0],
    [{ ...cookie, path: "/a" }, { ...cookie, path: "/b" }, 0],
    [{ ...cookie, path: "/a" }, { ...cookie, path: "/ab" }, 0],
    [{ ...cookie, path: "/a" }, { ...cookie, path: "/a/b" }, 1],
    [{ ...cookie, path: "/a/" }, { ...cookie, path: "/a/b" }, 1],
    [{ ...cookie, path: "/a/b" }, { ...cookie, path: "/" }, 1],
    [{ ...cookie, domain: "x.example" }, { ...cookie, domain: "y.example" }, 0],
    [{ ...cookie, domain: "x.example" }, { ...cookie, domain: "a.x.example" }, 1],
    [{ ...cookie, domain: "ax.example" }, { ...cookie, domain: "x.example" }, 0],
    [{ ...cookie, domain: "x.example" }, cookie, 1],
    [{ ...cookie, domain: "x.example", path: "/a" }, { ...cookie, domain: "x.example", path: "/b" }, 0],
  ];
  for (const [one, other, errors] of cases) assertEquals([ofTwo(one, other), ofTwo(other, one)], [errors, errors]);
  assertEquals(
    linesOf({
      sticky: {},
      pools: { a: {}, b: { sticky: { cookie: "roundhouse-a" } }, c: { sticky: { cookie: "roundhouse" } } },
    }),
    [
      'pools.b.sticky.cookie: got "roundhouse-a", want another name than pools.a.sticky.cookie: some requests would carry both cookies',
      'pools.c.sticky.cookie: got "roundhouse", want another name than sticky.cookie: some requests would carry both cookies',
    ],
  );
});

Deno.test("what only one engine can do is told for pools and routes, too", () => {
  const pools = { p: { backends: ["http://a:6000", { url: "http://b", tls: { insecure: true } }] } };
  const key = 'routes["*/*"]';
  const use = (engine: string) =>
    `not supported by engine "${engine === "wire" ? "fetch" : "wire"}", use engine "${engine}"`;
  assertEquals(linesOf({ pools, routes: { "*/*": { pool: "p", timeouts: { idle: "1s" }, compression: true } } }), [
    `pools.p.backends[1].tls.insecure: ${use("wire")}`,
    `${key}.timeouts.idle: ${use("wire")}`,
    'pools.p.backends[0]: port 6000 is blocked by engine "fetch", use engine "wire"',
  ]);
  const entry = { pool: "p", compression: true };
  const routes = {
    "*/*": [{ when: { method: "GET" }, redirect: "/" }, entry],
    "*/a": entry,
    "*/b": { pool: "p", compression: false },
  };
  assertEquals(linesOf({ engine: "wire", pools, routes }), [
    `${key}[1].compression: ${use("fetch")}`,
    `routes["*/a"].compression: ${use("fetch")}`,
  ]);
});

Deno.test("validateConfig() warns of pools that can serve nothing, where requests come to them", () => {
  const idle = [{ url: "http://a", weight: 0 }];
  const { warnings } = validateConfig({
    pools: { empty: {}, idle: { backends: idle }, unused: {} },
    routes: { "*/*": { pool: { empty: 1, idle: 0 } }, "*/a/*": "default" },
  });
  assertEquals(warnings, [
    "backends: none, so requests for this pool get 503",
    "pools.empty.backends: none, so requests for this pool get 503",
    "pools.idle.backends: every weight is 0, so no backend gets new traffic",
    "pools.unused: no route leads to this pool",
  ]);
});

Deno.test("validateConfig() keeps the places of backends behind a bad one, and looks at the rest of a bad pool", () => {
  const backends = ["ftp://a", "http://b", { url: "http://c", weight: -1 }, "http://b"];
  assertEquals(
    linesOf({ pools: { p: { backends, health: { body: "x", method: "HEAD" } } } }).map((line) => line.split(":")[0]),
    [
      "pools.p.backends[0]",
      "pools.p.backends[2].weight",
      "pools.p.backends[3]",
      "pools.p.health.body",
    ],
  );
});

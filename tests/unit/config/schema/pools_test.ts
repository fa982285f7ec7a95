import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { poolsOf } from "../../../../src/config/pool_settings.ts";
import { type Config, configSchema } from "../../../../src/config/schema.ts";
import { valueAt } from "../../../../src/config/setting_path.ts";
import { showConfig } from "../../../../src/config/show.ts";
import { validateConfig } from "../../../../src/config/validate.ts";
import { writtenConfig } from "../../../../src/config/written.ts";
import { ConfigError } from "../../../../src/errors.ts";

type File = Parameters<typeof configSchema.parse>[0];

function poolOf(file: Record<string, unknown>, own: Record<string, unknown>) {
  const config: Config = configSchema.parse({ ...file, pools: { api: own } } as File);
  const pool = config.pools["api"];
  if (pool === undefined) throw new Error("no such pool");
  return pool;
}

Deno.test("a pool inherits health, passive and queue key by key", () => {
  const top = {
    health: { path: "/up", interval: "9s", headers: { A: "1" } },
    passive: { serverErrors: 5 },
    queue: { size: 5, hold: "1s" },
  };
  const pool = poolOf(top, {
    health: { interval: "1s", headers: { B: "2" } },
    passive: { window: "2s" },
    queue: { size: 7 },
  });
  const { path, intervalMs, headers, timeoutMs } = pool.health;
  assertEquals([path, intervalMs, headers, timeoutMs], ["/up", 1000, { B: "2" }, 2000]);
  assertEquals([pool.passive.serverErrors, pool.passive.windowMs], [5, 2000]);
  assertEquals(pool.queue, { size: 7, timeoutMs: 1000, holdMs: 1000 });
});

Deno.test("null in a pool stands for the default, of a setting or of a section", () => {
  const defaults = configSchema.parse({});
  const top = { health: { path: "/up", interval: "9s" }, queue: { size: 5 }, strategy: "random", sticky: {} };
  const pool = poolOf(top, { health: { path: null }, queue: null, passive: null, strategy: null, sticky: null });
  assertEquals([pool.health.path, pool.health.intervalMs], [null, 9000]);
  assertEquals([pool.queue, pool.passive], [defaults.queue, defaults.passive]);
  assertEquals([pool.strategy, pool.sticky], [{ kind: "round-robin" }, null]);
});

Deno.test("a pool inherits strategy and sticky whole, but its cookie has its own name", () => {
  const cookieOf = (top: unknown, own: Record<string, unknown>) => {
    const { sticky } = poolOf({ sticky: top }, own);
    return sticky?.by === "cookie" ? [sticky.cookie, sticky.timeoutMs] : sticky;
  };
  const half = 1_800_000;
  assertEquals(cookieOf({}, {}), ["roundhouse-api", half]);
  assertEquals(cookieOf({ cookie: "shop", timeout: "1m" }, {}), ["shop-api", 60_000]);
  assertEquals(cookieOf({ cookie: "shop", timeout: "1m" }, { sticky: {} }), ["roundhouse-api", half]);
  assertEquals(cookieOf({ cookie: "shop" }, { sticky: { cookie: "mine" } }), ["mine", half]);
  assertEquals(cookieOf(null, { sticky: { cookie: null } }), ["roundhouse-api", half]);
  assertEquals(cookieOf({ by: "ip" }, {}), { by: "ip", timeoutMs: half });
  assertEquals(poolOf({ strategy: "ip-hash" }, {}).strategy, { kind: "ip-hash" });
});

Deno.test("a pool never inherits backends, and may have none", () => {
  assertEquals(poolOf({ backends: ["http://a"] }, {}).backends, []);
  assertEquals(poolOf({}, { backends: ["http://A/"] }).backends.map(({ url }) => url), ["http://a"]);
});

Deno.test("poolsOf() has the pool default first, then the others in the order of the file", () => {
  const config = configSchema.parse({ backends: ["http://a"], pools: { z: {}, b: { backends: ["http://b"] } } });
  const pools = poolsOf(config);
  assertEquals([...pools.keys()], ["default", "z", "b"]);
  assertEquals([...pools.values()].map(({ backends }) => backends.map(({ url }) => url)), [["http://a"], [], [
    "http://b",
  ]]);
});

Deno.test("GET /config hides what looks like a secret in a pool, own and inherited", () => {
  const health = { path: "/up?token=s3cret&deep=1", headers: { "X-Token": "s3cret", "X-Open": "seen" } };
  for (const file of [{ health, pools: { api: {} } }, { pools: { api: { health } } }]) {
    const shown = JSON.stringify(valueAt(showConfig(configSchema.parse(file)), ["pools", "api", "health"]));
    assertEquals(shown.includes("s3cret"), false, shown);
    for (const open of ['"X-Open":"seen"', "deep=1"]) assertEquals(shown.includes(open), true, shown);
  }
});

Deno.test("each mistake in a pool is one line, and all are told at once", () => {
  const pools = {
    API: {},
    default: {},
    a: {
      helth: {},
      backends: ["http://x", { url: "http://y", weigth: 2 }, "ftp://z"],
      queue: { size: "x", siez: 1 },
      strategy: "fast",
    },
    b: 5,
  };
  assertEquals(linesOf({ pools }), [
    'pools.API: got the name "API", want 1 to 63 of a-z, 0-9 and -, other than "default"',
    'pools.default: got the name "default", want 1 to 63 of a-z, 0-9 and -, other than "default"',
    'pools.a.backends[1].weigth: unknown setting, did you mean "weight"?',
    'pools.a.backends[2]: got "ftp://z", want an http:// or https:// origin with an optional base path, without ' +
    "credentials, query or fragment, or unix:/PATH of a socket (absolute, at most 107 bytes, without colons)",
    'pools.a.strategy: got "fast", want "round-robin", "least-connections", "random", "ip-hash", "uri-hash", ' +
    '"least-latency" or "header-hash:NAME"',
    'pools.a.queue.size: got "x", want a whole number from 0 to 1000000',
    'pools.a.queue.siez: unknown setting, did you mean "size"?',
    'pools.a.helth: unknown setting, did you mean "health"?',
    "pools.b: got 5, want an object",
  ]);
});

function linesOf(raw: unknown): readonly string[] {
  try {
    validateConfig(raw);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

// Every setting is left out, null or given, at the top level and in the pool.

const maybe = <T>(...values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
const health = fc.record({ path: maybe("/a", null), status: maybe("200", null), interval: maybe("1s", "5ms") });
const queue = fc.record({ size: maybe(0, 9), hold: maybe("0s", "7s") });
const sticky = fc.record({ by: maybe("cookie", "ip"), cookie: maybe("a", "b"), secure: maybe(true, null) });
const settings = {
  health: fc.option(health, { nil: undefined }),
  queue: fc.option(queue, { nil: undefined }),
  sticky: fc.option(fc.option(sticky), { nil: undefined }),
  strategy: maybe("random", "header-hash:X"),
};
const topLevel = fc.record(settings);
const own = fc.record({ ...settings, passive: maybe(null, { window: null }), queue: fc.option(settings.queue) });

Deno.test("a configuration with pools reads back from its own words, and those name all that counts", () => {
  fc.assert(fc.property(topLevel, fc.dictionary(fc.constantFrom("a", "b-2", "7"), own), (top, pools) => {
    const config = configSchema.parse(JSON.parse(JSON.stringify({ ...top, pools })));
    const written = writtenConfig(config);
    assertEquals(configSchema.parse(written), config);
    // What a pool is does not hang on the top level any more.
    const { health: _, queue: __, sticky: ___, strategy: ____, ...rest } = written;
    assertEquals(configSchema.parse(rest).pools, config.pools);
  }));
});

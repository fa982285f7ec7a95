import { assertEquals } from "@std/assert";
import { type Config, configSchema } from "../../../../src/config/schema.ts";
import type { RouteEntry } from "../../../../src/config/schema/routes.ts";
import { showConfig } from "../../../../src/config/show.ts";
import { validateConfig } from "../../../../src/config/validate.ts";
import { writtenConfig } from "../../../../src/config/written.ts";
import { ConfigError } from "../../../../src/errors.ts";

type File = Parameters<typeof configSchema.parse>[0];

const PLAIN: RouteEntry = {
  name: null,
  when: null,
  pool: { api: 1 },
  splitBy: { kind: "client" },
  redirect: null,
  status: 308,
  respond: null,
  stripPrefix: null,
  addPrefix: null,
  timeouts: null,
  retries: null,
  headers: null,
};

const POOLS = { api: { backends: ["http://a"] }, b: { backends: ["http://b"] } };

function configWith(route: unknown): Config {
  return configSchema.parse({ pools: POOLS, routes: { "a.example/*": route } } as File);
}

/** The entries of a route; checks that they read the same from the words that `GET /config` shows. */
function entriesOf(route: unknown): readonly unknown[] {
  const config = configWith(route);
  assertEquals(configSchema.parse(writtenConfig(config)), config);
  return config.routes?.["a.example/*"] ?? [];
}

Deno.test("a route is the name of a pool, an entry, or a list of these", () => {
  assertEquals(entriesOf("api"), [PLAIN]);
  assertEquals(entriesOf({ pool: "api" }), [PLAIN]);
  assertEquals(entriesOf(["api"]), [PLAIN]);
  assertEquals(entriesOf([{ name: "beta", when: { method: "GET" }, pool: "b" }, { pool: { api: 95, b: 0 } }]), [
    { ...PLAIN, name: "beta", when: { method: ["GET"] }, pool: { b: 1 } },
    { ...PLAIN, pool: { api: 95, b: 0 } },
  ]);
});

Deno.test("an entry sends elsewhere or answers by itself", () => {
  const none = { ...PLAIN, pool: null };
  const answer = { status: 200, body: null, file: null, contentType: null, headers: {} };
  assertEquals(entriesOf({ redirect: "https://b.example{uri}" }), [{ ...none, redirect: "https://b.example{uri}" }]);
  assertEquals(entriesOf({ redirect: "/", status: 302 }), [{ ...none, redirect: "/", status: 302 }]);
  assertEquals(entriesOf({ respond: 404 }), [{ ...none, respond: { ...answer, status: 404 } }]);
  const full = { status: 503, body: "", contentType: "text/html", headers: { "X-A": "b" } };
  assertEquals(entriesOf({ respond: full }), [{ ...none, respond: { ...answer, ...full } }]);
  assertEquals(entriesOf({ respond: { file: "a.html" } }), [{ ...none, respond: { ...answer, file: "a.html" } }]);
});

Deno.test("what keeps a request at its side of a split is read into its parts", () => {
  const read = (splitBy: string) => (entriesOf({ pool: { api: 1, b: 1 }, splitBy })[0] as RouteEntry).splitBy;
  assertEquals(read("client"), { kind: "client" });
  assertEquals(read("request"), { kind: "request" });
  assertEquals(read("header:X-User"), { kind: "header", name: "x-user" });
  assertEquals(read("cookie:User"), { kind: "cookie", name: "User" });
});

Deno.test("settings of an entry that are left out are undefined, and null is the default", () => {
  const { pool: _, ...settings } = {
    pool: "api",
    stripPrefix: "/a",
    addPrefix: "/b",
    timeouts: { response: "5s", idle: null },
    retries: { statuses: [503] },
    headers: { request: { set: { Host: "h" } } },
    maxBodySize: "1KB",
    compression: true,
  };
  assertEquals(entriesOf({ pool: "api", ...settings }), [{
    ...PLAIN,
    stripPrefix: "/a",
    addPrefix: "/b",
    timeouts: { responseMs: 5000, idleMs: 60_000 },
    retries: { statuses: [503] },
    headers: { request: { set: { Host: "h" } } },
    maxBodyBytes: 1000,
    compression: true,
  }]);
  const nulls = { timeouts: null, retries: null, headers: { response: null }, maxBodySize: null, compression: null };
  assertEquals(entriesOf({ pool: "api", ...nulls }), [{
    ...PLAIN,
    timeouts: { connectMs: 2000, responseMs: 30_000, requestMs: 0, idleMs: 60_000 },
    retries: { attempts: 2, statuses: [] },
    headers: { response: { set: {}, remove: [] } },
    maxBodyBytes: null,
    compression: false,
  }]);
});

Deno.test("a `when` that asks nothing counts as none", () => {
  assertEquals(entriesOf({ when: {}, pool: "api" }), [PLAIN]);
  assertEquals(entriesOf({ when: { header: {} }, pool: "api" }), [PLAIN]);
});

Deno.test("without routes there are none, and none of them is not the same as an empty object", () => {
  assertEquals(configSchema.parse({}).routes, null);
  assertEquals(configSchema.parse({ routes: null }).routes, null);
  assertEquals(configSchema.parse({ routes: {} }).routes, {});
});

const PREFIX_WANTED =
  'a path such as "/api/v1": it begins with "/", and has no "/" at its end, query, "//" or dot segments';

// Each bad route with the whole of what is said about it; `KEY` is its place.
const REFUSED: readonly (readonly [unknown, string])[] = [
  [3, "KEY: got 3, want the name of a pool, an object, or a list"],
  [[], "KEY: got an empty list, want at least one entry"],
  [[{ pool: "api" }, 5], "KEY[1]: got 5, want the name of a pool, or an object"],
  [{}, 'KEY: got an empty object, want exactly one of "pool", "redirect" and "respond"'],
  [
    { pool: "api", redirect: "/" },
    'KEY: got an object with "pool", "redirect", want exactly one of "pool", "redirect" and "respond"',
  ],
  [{ pol: "api" }, 'KEY.pol: unknown setting, did you mean "pool"?'],
  [[{ pool: { api: 1001 } }], "KEY[0].pool.api: got 1001, want a whole number from 0 to 1000"],
  [{ pool: { api: 0, b: 0 } }, 'KEY.pool: got an object with "api", "b", want at least one pool with a weight above 0'],
  [{ pool: {} }, "KEY.pool: got an empty object, want at least one pool with a weight above 0"],
  [{ pool: 5 }, "KEY.pool: got 5, want the name of a pool, or an object with a weight for each pool"],
  [
    { pool: "api", splitBy: "header" },
    'KEY.splitBy: got "header", want "client", "request", "header:NAME" or "cookie:NAME"; did you mean "header:NAME"?',
  ],
  [{ redirect: "//evil" }, 'KEY.redirect: got "//evil", want a path, or http:// or https:// with a host'],
  [{ redirect: "{uri}" }, 'KEY.redirect: got "{uri}", want a path, or http:// or https:// with a host'],
  [{ redirect: "/", status: 304 }, "KEY.status: got 304, want 301, 302, 303, 307 or 308"],
  [{ pool: "api", status: 301 }, 'KEY.status: got 301, want "redirect" in the same entry'],
  [{ respond: 404, stripPrefix: "/a" }, 'KEY.stripPrefix: got "/a", want "pool" in the same entry'],
  [{ respond: 199 }, "KEY.respond: got 199, want a whole number from 200 to 599"],
  [{ respond: { status: "x" } }, 'KEY.respond.status: got "x", want a whole number from 200 to 599'],
  [
    { respond: { body: "a", file: "b" } },
    'KEY.respond: got an object with "body", "file", want either "body" or "file"',
  ],
  [
    { respond: { status: 204, body: "a" } },
    'KEY.respond: got an object with "status", "body", want no body with status 204',
  ],
  [{ pool: "api", when: { methd: "GET" } }, 'KEY.when.methd: unknown setting, did you mean "method"?'],
  [
    { pool: "api", when: { method: "get" } },
    'KEY.when.method: got "get", want a method in capitals such as "GET" or "HEAD", neither CONNECT nor TRACE',
  ],
  [{ pool: "api", when: { method: [] } }, "KEY.when.method: got an empty list, want at least one method"],
  [
    { pool: "api", when: { header: { "X-A": 1 } } },
    'KEY.when.header.X-A: got 1, want text, such as "abc", "abc*" or "*", or null',
  ],
  [
    { pool: "api", when: { header: { "X-A": "1", "x-a": "2" } } },
    'KEY.when.header: got an object with "X-A", "x-a", want each header once, whatever its case',
  ],
  [
    { pool: "api", when: { client: ["10.0.0"] } },
    'KEY.when.client[0]: got "10.0.0", want an IP address or a CIDR range such as "10.0.0.0/8"',
  ],
  [
    { pool: "api", stripPrefix: "/a/" },
    `KEY.stripPrefix: got "/a/", want ${PREFIX_WANTED}`,
  ],
  [{ pool: "api", timeouts: { shutdown: 1 } }, "KEY.timeouts.shutdown: unknown setting"],
  [{ pool: "api", retries: { attemps: 1 } }, 'KEY.retries.attemps: unknown setting, did you mean "attempts"?'],
  [
    { pool: "api", headers: { request: { sets: {} } } },
    'KEY.headers.request.sets: unknown setting, did you mean "set"?',
  ],
];

Deno.test("a prefix is a path that no client would write otherwise", () => {
  for (
    const addPrefix of [
      "",
      "/",
      "a",
      "/a/",
      "/a//b",
      "/a?b",
      "/a#b",
      "/a b",
      "/..",
      "/a/./b",
      "/%2e%2e/a",
      "/%zz",
      "/a\\\\b",
    ]
  ) {
    const line = `routes["a.example/*"].addPrefix: got ${JSON.stringify(addPrefix)}, want ${PREFIX_WANTED}`;
    assertEquals(linesOf({ "a.example/*": { pool: "api", addPrefix } }), [line]);
  }
  for (const addPrefix of ["/a", "/a/b.c", "/..a", "/%C3%BC", "/a;b=c/@:$"]) {
    assertEquals(linesOf({ "a.example/*": { pool: "api", addPrefix } }), []);
  }
});

Deno.test("each bad route is refused with one line that names its place, what it got and what it wants", () => {
  for (const [route, line] of REFUSED) {
    assertEquals(linesOf({ "a.example/*": route }), [line.replace("KEY", 'routes["a.example/*"]')]);
  }
});

Deno.test("bad routes are told all at once, those with bad keys included", () => {
  const lines = linesOf({ "a b/*": "api", "*/*": { pool: "api", when: { method: 1 }, splitBy: 2 }, "a*/*": "api" });
  assertEquals(lines.map((line) => line.replace(/: got.*/, "")), [
    'routes["a b/*"]',
    'routes["*/*"].when.method',
    'routes["*/*"].splitBy',
    'routes["a*/*"]',
  ]);
});

Deno.test("GET /config and error lines hide what looks like a secret in a route, in an entry and in a list", () => {
  const secret = { "X-Token": "s3cret", "X-Open": "seen" };
  const entry = {
    when: { header: secret, cookie: secret, query: secret },
    pool: "api",
    headers: { request: { set: secret }, response: { set: secret } },
  };
  for (const route of [entry, [entry, { respond: { headers: secret } }]]) {
    const shown = JSON.stringify(showConfig(configWith(route)));
    assertEquals(shown.includes("s3cret"), false, shown);
    assertEquals(shown.includes('"X-Open":"seen"'), true, shown);
  }
  const bad = { ...entry, when: { header: { "X-Token": "s3cret\n", "x-token": "s3cret" } } };
  assertEquals(linesOf({ "a/*": [bad] }).filter((line) => line.includes("s3cret")), []);
});

function linesOf(routes: unknown): readonly string[] {
  try {
    validateConfig({ pools: POOLS, routes });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

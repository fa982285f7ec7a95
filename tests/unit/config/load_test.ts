import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { loadConfig, type LoadOptions } from "../../../src/config/load.ts";
import { ConfigError } from "../../../src/errors.ts";

type Files = Readonly<Record<string, string>>;

/** Options for a file system of these files, and these environment variables. */
function given(options: Partial<LoadOptions>, files: Files = {}, variables: Files = {}): LoadOptions {
  return {
    path: undefined,
    flags: {},
    env: (name) => Object.hasOwn(variables, name) ? variables[name] : undefined,
    readFile: (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      if (text === undefined) throw new Deno.errors.NotFound();
      return text;
    },
    readStdin: () => "{}",
    ...options,
  };
}

function linesOf(options: LoadOptions): readonly string[] {
  return assertThrows(() => loadConfig(options), ConfigError).lines;
}

Deno.test("loadConfig() without a file gives the defaults", () => {
  const { config, warnings, path } = loadConfig(given({}));
  assertEquals([config.proxy.port, path], [8080, null]);
  assertEquals(warnings, ["backends: none, so every request gets 503"]);
});

Deno.test("loadConfig() takes the named file, else ROUNDHOUSE_CONFIG, else config.json", () => {
  const files = {
    "config.json": `{ "proxy": { "port": 1 } }`,
    "env.json": `{ "proxy": { "port": 2 } }`,
    "flag.json": `{ "proxy": { "port": 3 } }`,
  };
  const variables = { ROUNDHOUSE_CONFIG: "env.json" };
  const cases = [
    [given({}, files), 1, "config.json"],
    [given({}, files, { ROUNDHOUSE_CONFIG: "" }), 1, "config.json"],
    [given({}, files, variables), 2, "env.json"],
    [given({ path: "flag.json" }, files, variables), 3, "flag.json"],
  ] as const;
  for (const [options, port, file] of cases) {
    const { config, path } = loadConfig(options);
    assertEquals([config.proxy.port, path], [port, file]);
  }
});

Deno.test("loadConfig() reads standard input for -", () => {
  const readStdin = () => `{ "proxy": { "port": 7 } }`;
  for (const options of [given({ path: "-", readStdin }), given({ readStdin }, {}, { ROUNDHOUSE_CONFIG: "-" })]) {
    const { config, path } = loadConfig(options);
    assertEquals([config.proxy.port, path], [7, null]);
  }
  assertEquals(linesOf(given({ path: "-", readStdin: () => "{" })), [`standard input:1:2: want a closing "}"`]);
});

Deno.test("loadConfig() says why a file can't be read", () => {
  assertEquals(linesOf(given({ path: "no.json" })), ["no.json: can't be read: no such file"]);
  assertEquals(linesOf(given({}, {}, { ROUNDHOUSE_CONFIG: "no.json" })), ["no.json: can't be read: no such file"]);
  const failing = (error: Error) =>
    given({
      readFile: () => {
        throw error;
      },
    });
  assertEquals(linesOf(failing(new Deno.errors.PermissionDenied("x"))), ["config.json: can't be read: not permitted"]);
  assertEquals(linesOf(failing(new Error("disk on fire"))), ["config.json: can't be read: disk on fire"]);
});

Deno.test("loadConfig() reads real files, and the example is valid", () => {
  const example = new URL("../../../config.json", import.meta.url).pathname;
  const { config, warnings, path } = loadConfig({
    path: example,
    flags: {},
    env: () => undefined,
    readStdin: () => "",
  });
  assertEquals([warnings, path], [[], example]);
  assertEquals(config.backends.map(({ url }) => url), [
    "http://127.0.0.1:9001",
    "http://127.0.0.1:9002",
    "http://127.0.0.1:9003",
  ]);
  assertEquals([config.proxy.host, config.proxy.port], ["0.0.0.0", 8080]);
  assertEquals([config.admin.host, config.admin.port], ["127.0.0.1", 8081]);
  const directory = new URL(".", import.meta.url).pathname;
  assertEquals(
    linesOf({ path: directory, flags: {}, env: () => undefined, readStdin: () => "" })[0]?.split(": ").slice(1),
    [
      "can't be read",
      "it is a directory, want a regular file",
    ],
  );
});

Deno.test("loadConfig() takes a path, tcp or none for how backends are checked", () => {
  const files = { "config.json": `{ "health": { "type": "none", "path": "/file", "interval": "9s" } }` };
  const checks = [undefined, "/flag", "tcp", "none"].map((health) => {
    const { type, path, intervalMs } = loadConfig(given({ flags: { health } }, files)).config.health;
    return [type, path, intervalMs];
  });
  assertEquals(checks, [
    ["none", "/file", 9000],
    ["http", "/flag", 9000],
    ["tcp", "/file", 9000],
    ["none", "/file", 9000],
  ]);
});

Deno.test("loadConfig() puts flags before environment before file", () => {
  const files = { "config.json": `{ "log": { "level": "warn" }, "admin": { "token": "file" } }` };
  const variables = { ROUNDHOUSE_LOG_LEVEL: "error", ROUNDHOUSE_ADMIN_TOKEN: "env" };
  const levels = [
    given({}, files),
    given({}, files, variables),
    given({ flags: { logLevel: "debug" } }, files, variables),
    given({}, files, { ROUNDHOUSE_LOG_LEVEL: "", ROUNDHOUSE_ADMIN_TOKEN: "" }),
  ].map((options) => loadConfig(options).config).map(({ log, admin }) => [log.level, admin.token]);
  assertEquals(levels, [["warn", "file"], ["error", "env"], ["debug", "env"], ["warn", "file"]]);
});

Deno.test("loadConfig() lets every flag replace its setting", () => {
  const files = {
    "config.json": `{ "proxy": { "port": 1, "host": "a" }, "backends": ["http://x", 5], "log": { "level": "warn" } }`,
  };
  const flags = {
    backends: ["http://b:80/"],
    host: "::1",
    port: 0,
    adminHost: "localhost",
    adminPort: 9,
    strategy: "round-robin",
    engine: "fetch",
    workers: 1,
    logLevel: "debug",
    logFormat: "json",
  };
  const { config } = loadConfig(given({ flags }, files));
  assertEquals(config.backends.map(({ url }) => url), ["http://b"]);
  assertEquals([config.proxy.host, config.proxy.port], ["::1", 0]);
  assertEquals([config.admin.host, config.admin.port], ["localhost", 9]);
  assertEquals(config.log, { level: "debug", format: "json", access: false });
  assertEquals(
    loadConfig(given({ flags: { backends: [] } }, { "config.json": `{ "backends": ["http://x"] }` })).config
      .backends.length,
    1,
  );
});

Deno.test("loadConfig() names the flag or variable of a bad value", () => {
  const flags = {
    backends: ["http://a", "b:1"],
    host: "a b",
    port: 70000,
    adminHost: "x y",
    adminPort: -1,
    strategy: "best",
    engine: "warp",
    workers: "many",
    logFormat: "xml",
  };
  const variables = { ROUNDHOUSE_LOG_LEVEL: "loud", ROUNDHOUSE_ADMIN_TOKEN: "a b" };
  const lines = linesOf(given({ flags }, {}, variables)).map((line) => line.split(", want")[0]);
  assertEquals(lines, [
    '--host: got "a b"',
    "--port: got 70000",
    '--workers: got "many"',
    '--admin-host: got "x y"',
    "--admin-port: got -1",
    "ROUNDHOUSE_ADMIN_TOKEN: got a value that is not shown",
    '--backend: got "b:1"',
    '--strategy: got "best"',
    '--engine: got "warp"',
    'ROUNDHOUSE_LOG_LEVEL: got "loud"',
    '--log-format: got "xml"',
  ]);
  assertEquals(linesOf(given({ flags: { logLevel: "loud" } })).map((line) => line.split(":")[0]), ["--log-level"]);
});

Deno.test("loadConfig() replaces references to the environment, and reads numbers from them", () => {
  const text = `{ "proxy": { "port": "\${PORT}", "host": "\${HOST:-::1}" }, "backends": ["http://\${B}:\${PORT}"] }`;
  const { config } = loadConfig(given({}, { "config.json": text }, { PORT: "9001", B: "b" }));
  assertEquals([config.proxy.port, config.proxy.host, config.backends[0]?.url], [9001, "::1", "http://b:9001"]);
  assertEquals(linesOf(given({}, { "config.json": text }, { B: "b" })), [
    "proxy.port: environment variable PORT is not set",
    "backends[0]: environment variable PORT is not set",
  ]);
});

Deno.test("loadConfig() does not look at what a flag replaces", () => {
  const text =
    `{ "proxy": { "port": "\${PORT}" }, "backends": ["\${B}", { "url": 5 }], "log": { "level": 1, "level": 2 } }`;
  const flags = { port: 1, backends: ["http://a"], logLevel: "info" };
  assertEquals(loadConfig(given({ flags }, { "config.json": text })).config.proxy.port, 1);
});

Deno.test("loadConfig() tells of mistakes of the file, its variables and its values together", () => {
  const text = `{ "proxy": { "port": 1, "port": 2, "__proto__": {}, "host": "\${NOPE}" }, "admin": { "port": "x" } }`;
  assertEquals(linesOf(given({}, { "config.json": text })), [
    "proxy.port: given twice, again at config.json:1:25",
    "proxy.__proto__: unknown setting",
    "proxy.host: environment variable NOPE is not set",
    'admin.port: got "x", want a whole number from 0 to 65535',
  ]);
});

Deno.test("loadConfig() knows whether there is a file that changes can be kept in", () => {
  const text = `{ "admin": { "persist": true } }`;
  const wantsFile = (options: LoadOptions) => {
    try {
      loadConfig(options);
      return false;
    } catch (error) {
      if (error instanceof ConfigError) return error.lines.some((line) => line.includes("want a configuration file"));
      throw error;
    }
  };
  assertEquals(wantsFile(given({ path: "-", readStdin: () => text })), true);
  assertEquals(wantsFile(given({}, { "config.json": text })), false);
});

Deno.test("loadConfig() refuses to keep changes of a pool that the command line gives", () => {
  // The first change through the API wrote the command line's backends over the file's, and the flag won again at the
  // next start: what was kept was lost either way.
  const files = { "config.json": `{ "admin": { "persist": true }, "backends": ["http://file"] }` };
  assertEquals(linesOf(given({ flags: { backends: ["http://flag"] } }, files)), [
    "admin.persist: got true, want the backends in the file: --backend would replace them at the next start",
  ]);
  assertEquals(loadConfig(given({ flags: { port: 1 } }, files)).config.admin.persist, true);
});

Deno.test("loadConfig() keeps the file's mistake when a flag has no place to go", () => {
  const lines = linesOf(given({ flags: { port: 1, backends: ["http://a"] } }, { "config.json": `{ "proxy": 5 }` }));
  assertEquals(lines, ["proxy: got 5, want an object"]);
  const list = linesOf(given({ flags: { port: 1 } }, { "config.json": `[]` }));
  assertEquals(list.map((line) => line.split(",")[0]?.slice(0, 16)), ["config.json: got"]);
});

Deno.test("loadConfig() throws nothing but ConfigError, with lines, whatever the file says", () => {
  const key = fc.constantFrom(
    "proxy",
    "port",
    "backends",
    "url",
    "tls",
    "health",
    "headers",
    "set",
    "pool",
    "method",
    "status",
    "__proto__",
    "a b",
  );
  const leaf = fc.oneof(
    fc.constantFrom("${A}", "${A:-5}", "5s", "http://a", "round-robin", "unlimited", 0, 1, -1, 1e400, true, null, "🦊"),
    fc.string({ unit: "binary" }),
    fc.double(),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(key, tie("tree"), { maxKeys: 4 }),
    ),
  }));
  const some = { requiredKeys: [] };
  const pool = fc.record({ backends: fc.array(tree), sticky: tree, health: fc.record({ path: tree }) }, some);
  const routeKey = fc.constantFrom(
    "a/*",
    "A./*",
    "*/~x",
    "*/%7ex",
    "*.b/x/*",
    "a/x",
    "b",
    "a b/*",
    "*/*/*",
    "__proto__",
  );
  const poolName = fc.constantFrom("a", "b-1", "aa", "default", "${A}", 5);
  const entry = fc.record({
    name: tree,
    when: fc.oneof(tree, fc.record({ method: tree, header: tree, cookie: tree, query: tree, client: tree }, some)),
    pool: fc.oneof(poolName, fc.dictionary(fc.constantFrom("a", "aa", "default"), fc.oneof(tree, fc.nat(9)))),
    redirect: fc.oneof(tree, fc.constantFrom("/", "//x", "https://a{uri}", "https://a{url}", "{uri}")),
    respond: fc.oneof(tree, fc.record({ status: tree, body: tree, file: tree, headers: tree }, some)),
    stripPrefix: fc.oneof(tree, fc.constantFrom("/x", "/~x", "/%7ex", "/")),
    timeouts: tree,
    headers: fc.record({ request: fc.record({ set: tree, remove: tree }, some) }, some),
  }, some);
  const settings = fc.record(
    {
      proxy: tree,
      admin: tree,
      backends: fc.oneof(tree, fc.array(tree, { maxLength: 4 })),
      strategy: tree,
      sticky: tree,
      engine: tree,
      health: fc.oneof(tree, fc.record({ headers: tree, status: tree, interval: tree })),
      headers: fc.oneof(tree, fc.record({ request: fc.record({ set: tree, remove: tree }) })),
      passive: tree,
      log: tree,
      pools: fc.oneof(
        tree,
        fc.dictionary(fc.constantFrom("a", "b-1", "A", "default", "__proto__"), fc.oneof(tree, pool)),
      ),
      routes: fc.oneof(tree, fc.dictionary(routeKey, fc.oneof(tree, entry, fc.array(fc.oneof(tree, entry))))),
    },
    { requiredKeys: [] },
  );
  const text = fc.oneof(
    fc.json(),
    settings.map((value) => JSON.stringify(value)),
    fc.string({ unit: "binary" }),
    fc.array(fc.constantFrom("{", "}", "[", "]", ":", ",", '"a"', "1", "//", "\n", '"'), { maxLength: 20 }).map((
      parts,
    ) => parts.join("")),
  );
  fc.assert(
    fc.property(text, fc.boolean(), (text, withFlags) => {
      const flags = withFlags ? { backends: ["http://a"], port: 1, logLevel: "info", adminHost: "::1" } : {};
      try {
        loadConfig(given({ flags }, { "config.json": text }, { A: "x" }));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        assertEquals(error.lines.length > 0, true);
        for (const line of error.lines) assertEquals(/^[^\n]+: [^\n]+$/.test(line), true, line);
        assertEquals(/Invalid input|expected |Too (big|small)|unrecognized/i.test(error.message), false, error.message);
      }
    }),
    { numRuns: 300 },
  );
});

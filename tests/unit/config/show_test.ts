import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { type Config, type ConfigFile, configSchema, jsonSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";
import { MAX_TIMER_MS } from "../../../src/config/units.ts";
import { valueAt } from "../../../src/config/setting_path.ts";

Deno.test("showConfig() has every setting in the file's words", () => {
  assertEquals(showConfig(configSchema.parse({})), {
    proxy: {
      host: "0.0.0.0",
      port: 8080,
      socketMode: "0660",
      workers: 1,
      maxBodySize: "unlimited",
      trustForwarded: [],
      compression: false,
      maxConnections: 10000,
      maxHeaderSize: "64KiB",
      proxyProtocol: false,
      tls: null,
    },
    admin: { host: "127.0.0.1", port: 8081, token: null, persist: false },
    backends: [],
    discover: null,
    strategy: "round-robin",
    sticky: null,
    engine: "fetch",
    health: {
      type: "http",
      path: null,
      method: "GET",
      status: null,
      body: null,
      headers: {},
      port: null,
      tls: null,
      interval: "5s",
      timeout: "2s",
      jitter: 0.1,
      healthyThreshold: 1,
      unhealthyThreshold: 1,
      startUp: true,
      failOpen: false,
      slowStart: "0s",
    },
    passive: { connectFailures: 1, serverErrors: 0, window: "10s", ejectFor: "10s", maxEjected: 1 },
    timeouts: {
      connect: "2s",
      response: "30s",
      request: "0s",
      shutdown: "30s",
      idle: "1m",
      header: "10s",
      keepAlive: "1m15s",
    },
    retries: { attempts: 2, budget: 0.2, statuses: [] },
    queue: { size: 1024, timeout: "1s", hold: "3s" },
    headers: { request: { set: {}, remove: [] }, response: { set: {}, remove: [] } },
    deny: null,
    allow: null,
    rateLimit: null,
    concurrency: null,
    auth: null,
    mirror: null,
    log: { level: "info", format: "text", access: false },
    cluster: null,
  });
});

Deno.test("showConfig() spells what has several forms", () => {
  const config = configSchema.parse({
    proxy: { maxBodySize: 10_000_000, tls: { selfSigned: ["localhost"], redirectFrom: 80 } },
    backends: ["http://A:80/"],
    strategy: "header-hash:X-User",
    sticky: { by: "ip", timeout: 90_000 },
    health: { status: "200, 204,300-399" },
  });
  assertEquals(at(config, "proxy", "maxBodySize"), "10MB");
  assertEquals(at(config, "proxy", "tls"), {
    acme: null,
    selfSigned: ["localhost"],
    clientCertificates: null,
    redirectFrom: 80,
  });
  assertEquals(at(config, "backends", 0), {
    url: "http://a",
    weight: 1,
    maxConnections: null,
    backup: false,
    tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
  });
  assertEquals(at(config, "strategy"), "header-hash:x-user");
  assertEquals(at(config, "sticky"), {
    by: "ip",
    cookie: "roundhouse",
    timeout: "1m30s",
    sameSite: "lax",
    secure: null,
    domain: null,
    path: "/",
  });
  assertEquals(at(config, "health", "status"), "200,204,300-399");
});

Deno.test("showConfig() has every key of the file's schema", () => {
  const full = configSchema.parse({ backends: ["http://a"], sticky: {}, pools: { a: {} }, routes: {} });
  const shown = showConfig(full);
  const compare = (schema: unknown, path: readonly (string | number)[]) => {
    const known = valueAt(schema, ["properties"]);
    if (typeof known !== "object" || known === null) return;
    const here = valueAt(shown, path);
    const missing = Object.keys(known).filter((key) => key !== "$schema" && valueAt(here, [key]) === undefined);
    assertEquals(missing, [], path.join("."));
    for (const [key, inner] of Object.entries(known)) compare(inner, [...path, key]);
  };
  const schema: unknown = JSON.parse(jsonSchema());
  compare(schema, []);
  compare(valueAt(schema, ["properties", "sticky", "anyOf", 0]), ["sticky"]);
});

Deno.test("showConfig() hides the token, secret-looking headers and parameters, and credentials", () => {
  const config = configSchema.parse({
    admin: { token: "s3cret-token" },
    health: {
      path: "/health?deep=1&access_token=s3cret-param&key=",
      headers: { "authorization": "Bearer s3cret-check", "Accept": "text/plain" },
    },
    headers: {
      request: { set: { "X-Api-Key": "s3cret-key", "X-From": "https://me:s3cret-pw@host/@x", "X-Env": "prod" } },
      response: { set: { "Set-Cookie": "id=s3cret-cookie" } },
    },
  });
  assertEquals(JSON.stringify(showConfig(config)).match(/s3cret[a-z-]*/g), null);
  assertEquals(at(config, "admin", "token"), "***");
  assertEquals(at(config, "health", "path"), "/health?deep=1&access_token=***&key=***");
  assertEquals(at(config, "health", "headers"), { authorization: "***", Accept: "text/plain" });
  assertEquals(at(config, "headers", "request", "set"), {
    "X-Api-Key": "***",
    "X-From": "https://***@host/@x",
    "X-Env": "prod",
  });
  assertEquals(at(config, "headers", "response", "set"), { "Set-Cookie": "***" });
});

Deno.test("showConfig() leaves the configuration as it is", () => {
  const file = { admin: { token: "abc" }, headers: { request: { set: { Cookie: "a=b" } } } };
  const config = configSchema.parse(file);
  assertStringIncludes(JSON.stringify(showConfig(config)), "***");
  assertEquals(config, configSchema.parse(file));
});

Deno.test("configSchema reads what showConfig() gives as the same configuration", () => {
  fc.assert(
    fc.property(configFile, (file) => {
      const config = configSchema.parse(file);
      assertEquals(configSchema.parse(showConfig(config)), config);
      // What travels to a client is its text.
      assertEquals(configSchema.parse(JSON.parse(JSON.stringify(showConfig(config)))), config);
    }),
    { numRuns: 300 },
  );
});

function at(config: Config, ...path: readonly (string | number)[]): unknown {
  return valueAt(showConfig(config), path);
}

// Every section with every setting, each of them at times left out. Names and values look like no secret.

const host = fc.constantFrom("localhost", "0.0.0.0", "[::1]", "::", "a.example");
const port = fc.integer({ min: 0, max: 65535 });
const duration = (min: number) =>
  fc.oneof(fc.integer({ min, max: MAX_TIMER_MS }), fc.integer({ min, max: 999 }), fc.constantFrom("1m30s", "1.5h"));
const name = fc.constantFrom("X-A", "x-b", "accept", "__proto", "From");
const headerMap = fc.dictionary(name, fc.stringMatching(/^[ -.0-9A-Za-z\xe4]{0,8}$/), { maxKeys: 2 })
  .filter((headers) => Object.values(headers).every((value) => !value.includes("@")));
const status = fc.tuple(fc.integer({ min: 100, max: 599 }), fc.integer({ min: 100, max: 599 }), fc.boolean())
  .map(([one, other, single]) => single ? `${one}` : ` ${Math.min(one, other)} - ${Math.max(one, other)}`);
const changes = some({ set: headerMap, remove: fc.array(name, { maxLength: 2 }) });

const configFile: fc.Arbitrary<ConfigFile> = some({
  $schema: fc.string(),
  proxy: some({
    host,
    port,
    workers: fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 256 })),
    maxBodySize: fc.oneof(fc.constantFrom("unlimited", "10MB", "1.5GiB"), fc.maxSafeNat()),
    trustForwarded: fc.array(fc.constantFrom("10.0.0.0/8", "::1")),
    compression: fc.boolean(),
    maxConnections: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    maxHeaderSize: fc.oneof(fc.constantFrom("8KiB", "1mb"), fc.integer({ min: 256, max: 2 ** 24 })),
    proxyProtocol: fc.boolean(),
    tls: fc.oneof(
      fc.constant(null),
      fc.record({ cert: fc.constant("c.pem"), key: fc.constant("k.pem"), redirectFrom: fc.option(port) }),
      fc.record({ selfSigned: fc.array(host, { minLength: 1 }) }),
    ),
  }),
  admin: some({ host, port, token: fc.constant(null), persist: fc.boolean() }),
  backends: fc.array(fc.oneof(
    fc.webUrl({ validSchemes: ["http", "https"] }),
    fc.record({
      url: fc.webUrl({ validSchemes: ["http", "https"] }),
      weight: fc.integer({ min: 0, max: 256 }),
      maxConnections: fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
      backup: fc.boolean(),
      tls: some({
        ca: fc.constantFrom(null, "ca.pem"),
        insecure: fc.boolean(),
        serverName: fc.constantFrom(null, "a.example"),
      }),
    }, { requiredKeys: ["url"] }),
  )),
  strategy: fc.constantFrom("round-robin", "least-connections", "ip-hash", "least-latency", "header-hash:X-User"),
  sticky: fc.option(some({
    by: fc.constantFrom("cookie" as const, "ip" as const),
    cookie: fc.constantFrom("a", "roundhouse"),
    timeout: fc.integer({ min: 1000, max: 400 * 86_400_000 }),
    sameSite: fc.constantFrom("lax" as const, "strict" as const, "none" as const),
    secure: fc.constantFrom(true, false, null),
    domain: fc.constantFrom(null, "example.com", ".A.example"),
    path: fc.constantFrom("/", "/app/"),
  })),
  engine: fc.constantFrom("fetch" as const, "wire" as const),
  health: some({
    type: fc.constantFrom("http" as const, "tcp" as const, "none" as const),
    path: fc.constantFrom("/", "/health?deep=1&&x=y=z&a", "/a//b:c@d"),
    method: fc.constantFrom("GET", "HEAD"),
    status: fc.array(status, { minLength: 1, maxLength: 3 }).map((ranges) => ranges.join(",")),
    body: fc.option(fc.string({ minLength: 1 })),
    headers: headerMap,
    port: fc.option(fc.integer({ min: 1, max: 65535 })),
    interval: duration(1),
    timeout: duration(1),
    jitter: fraction(),
    healthyThreshold: fc.integer({ min: 1, max: 1000 }),
    unhealthyThreshold: fc.integer({ min: 1, max: 1000 }),
    startUp: fc.boolean(),
    failOpen: fc.boolean(),
    slowStart: duration(0),
  }),
  passive: some({
    connectFailures: fc.integer({ min: 0, max: 1000 }),
    serverErrors: fc.integer({ min: 0, max: 1_000_000 }),
    window: duration(1),
    ejectFor: duration(1),
    maxEjected: fraction(),
  }),
  timeouts: some({
    connect: duration(1),
    response: duration(1),
    request: duration(0),
    shutdown: duration(0),
    idle: duration(1),
    header: duration(1),
    keepAlive: duration(1),
  }),
  retries: some({
    attempts: fc.integer({ min: 0, max: 100 }),
    budget: fraction(),
    statuses: fc.array(fc.integer({ min: 400, max: 599 })),
  }),
  queue: some({ size: fc.integer({ min: 0, max: 1_000_000 }), timeout: duration(0), hold: duration(0) }),
  headers: some({ request: changes, response: changes }),
  deny: fc.option(fc.array(fc.constantFrom("10.0.0.0/8", "::1"))),
  allow: fc.option(fc.array(fc.constantFrom("10.0.0.0/8", "::1"))),
  rateLimit: fc.option(fc.record({
    requests: fc.integer({ min: 1, max: 1_000_000 }),
    per: duration(1),
    burst: fc.option(fc.integer({ min: 1, max: 1_000_000 })),
    by: fc.constantFrom("client", "route", "header:X-Key", "cookie:id"),
    enforce: fc.boolean(),
    scope: fc.constantFrom("local" as const, "cluster" as const),
  }, { requiredKeys: ["requests"] })),
  concurrency: fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  auth: fc.option(fc.record({
    forward: fc.oneof(
      fc.constant("http://127.0.0.1:4180/auth"),
      fc.record({ pool: fc.constant("auth"), path: fc.constant("/auth") }),
    ),
    copy: fc.array(fc.constantFrom("X-User", "Authorization")),
    timeout: fc.integer({ min: 1, max: MAX_TIMER_MS }),
    preflight: fc.boolean(),
  })),
  log: some({
    level: fc.constantFrom("debug" as const, "info" as const, "warn" as const, "error" as const),
    format: fc.constantFrom("text" as const, "json" as const),
    access: fc.boolean(),
  }),
});

function some<T>(settings: { [K in keyof T]: fc.Arbitrary<T[K]> }) {
  return fc.record(settings, { requiredKeys: [] });
}

function fraction() {
  return fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);
}

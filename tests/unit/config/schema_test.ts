import { assertEquals, assertMatch } from "@std/assert";
import { type Config, type ConfigFile, configSchema, jsonSchema } from "../../../src/config/schema.ts";

/** Everything said in the file, in the form that takes most reading. */
const EVERYTHING: ConfigFile = {
  $schema: "./config.schema.json",
  proxy: {
    host: "[::]",
    port: 0,
    workers: "auto",
    maxBodySize: "10MB",
    socketMode: "0600",
    trustForwarded: ["10.0.0.0/8", "::1", "fd00::/8", "192.0.2.1", "unix"],
    compression: true,
    maxConnections: 5,
    maxHeaderSize: "16KiB",
    proxyProtocol: true,
    tls: { selfSigned: ["localhost"], redirectFrom: 8080 },
  },
  admin: { host: "::1", port: 9, token: "secret", persist: true },
  backends: [
    "HTTP://LOCALHOST:80/",
    { url: "https://b/base/", weight: 2, maxConnections: 100, backup: true, tls: { ca: "ca.pem", insecure: true } },
  ],
  discover: null,
  strategy: "header-hash:X-User",
  sticky: { by: "ip", timeout: "60d" },
  engine: "wire",
  health: {
    type: "tcp",
    path: "/health?deep=1",
    method: "HEAD",
    status: "200, 204,300-399",
    body: "ok",
    headers: { "X-Check": "1" },
    port: 9999,
    interval: 100,
    timeout: "1m30s",
    jitter: 0,
    healthyThreshold: 2,
    unhealthyThreshold: 3,
    startUp: false,
    failOpen: true,
    slowStart: "10s",
  },
  passive: { connectFailures: 0, serverErrors: 5, window: "1s", ejectFor: "2s", maxEjected: 0.5 },
  timeouts: { connect: 1, response: "2ms", request: 3, shutdown: "0s", idle: 5, header: 6, keepAlive: 7 },
  retries: { attempts: 0, budget: 1, statuses: [502, 503] },
  queue: { size: 0, timeout: 250, hold: "500ms" },
  headers: {
    request: { set: { "X-A": "a\té" }, remove: ["X-B"] },
    response: { set: { Server: "" }, remove: [] },
  },
  deny: ["203.0.113.0/24"],
  allow: ["10.0.0.0/8", "::1"],
  rateLimit: { requests: 10, per: "1m", burst: 3, by: "header:X-Key", enforce: false },
  concurrency: 5,
  auth: { forward: { pool: "auth", path: "/check?a=b" }, copy: ["X-User"], timeout: 250, preflight: true },
  mirror: { pool: "default", share: 0.5, maxBody: "1MiB", methods: ["GET", "POST"] },
  log: { level: "debug", format: "json", access: true },
  cluster: { redis: "rediss://user:secret@redis.internal:6380/2", prefix: "shop", secret: "0123456789abcdef" },
};

Deno.test("configSchema gives every setting its default", () => {
  const defaults: Config = {
    proxy: {
      host: "0.0.0.0",
      port: 8080,
      socketMode: 0o660,
      workers: 1,
      maxBodyBytes: null,
      trustForwarded: [],
      compression: false,
      maxConnections: 10_000,
      maxHeaderBytes: 65_536,
      proxyProtocol: false,
      tls: null,
    },
    admin: { host: "127.0.0.1", port: 8081, token: null, persist: false },
    backends: [],
    discover: null,
    strategy: { kind: "round-robin" },
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
      intervalMs: 5000,
      timeoutMs: 2000,
      jitter: 0.1,
      healthyThreshold: 1,
      unhealthyThreshold: 1,
      startUp: true,
      failOpen: false,
      slowStartMs: 0,
    },
    passive: { connectFailures: 1, serverErrors: 0, windowMs: 10_000, ejectForMs: 10_000, maxEjected: 1 },
    timeouts: {
      connectMs: 2000,
      responseMs: 30_000,
      requestMs: 0,
      shutdownMs: 30_000,
      idleMs: 60_000,
      headerMs: 10_000,
      keepAliveMs: 75_000,
    },
    retries: { attempts: 2, budget: 0.2, statuses: [] },
    queue: { size: 1024, timeoutMs: 1000, holdMs: 3000 },
    headers: { request: { set: {}, remove: [] }, response: { set: {}, remove: [] } },
    deny: null,
    allow: null,
    rateLimit: null,
    concurrency: null,
    auth: null,
    mirror: null,
    log: { level: "info", format: "text", access: false },
    cluster: null,
    pools: {},
    routes: null,
  };
  assertEquals<Config>(configSchema.parse({}), defaults);
});

Deno.test("configSchema reads every setting in every form", () => {
  const config: Config = configSchema.parse(EVERYTHING);
  assertEquals(config, {
    proxy: {
      host: "::",
      port: 0,
      socketMode: 0o600,
      workers: "auto",
      maxBodyBytes: 10_000_000,
      trustForwarded: ["10.0.0.0/8", "::1", "fd00::/8", "192.0.2.1", "unix"],
      compression: true,
      maxConnections: 5,
      maxHeaderBytes: 16_384,
      proxyProtocol: true,
      tls: { files: [], acme: null, selfSigned: ["localhost"], clientCertificates: null, redirectFrom: 8080 },
    },
    admin: { host: "::1", port: 9, token: "secret", persist: true },
    backends: [
      {
        url: "http://localhost",
        weight: 1,
        maxConnections: null,
        backup: false,
        tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
      },
      {
        url: "https://b/base",
        weight: 2,
        maxConnections: 100,
        backup: true,
        tls: { ca: "ca.pem", insecure: true, serverName: null, cert: null, key: null },
      },
    ],
    discover: null,
    strategy: { kind: "header-hash", header: "x-user" },
    sticky: { by: "ip", timeoutMs: 5_184_000_000 },
    engine: "wire",
    health: {
      type: "tcp",
      path: "/health?deep=1",
      method: "HEAD",
      status: [{ from: 200, to: 200 }, { from: 204, to: 204 }, { from: 300, to: 399 }],
      body: "ok",
      headers: { "X-Check": "1" },
      port: 9999,
      tls: null,
      intervalMs: 100,
      timeoutMs: 90_000,
      jitter: 0,
      healthyThreshold: 2,
      unhealthyThreshold: 3,
      startUp: false,
      failOpen: true,
      slowStartMs: 10_000,
    },
    passive: { connectFailures: 0, serverErrors: 5, windowMs: 1000, ejectForMs: 2000, maxEjected: 0.5 },
    timeouts: { connectMs: 1, responseMs: 2, requestMs: 3, shutdownMs: 0, idleMs: 5, headerMs: 6, keepAliveMs: 7 },
    retries: { attempts: 0, budget: 1, statuses: [502, 503] },
    queue: { size: 0, timeoutMs: 250, holdMs: 500 },
    headers: {
      request: { set: { "X-A": "a\té" }, remove: ["X-B"] },
      response: { set: { Server: "" }, remove: [] },
    },
    deny: ["203.0.113.0/24"],
    allow: ["10.0.0.0/8", "::1"],
    rateLimit: {
      requests: 10,
      perMs: 60_000,
      burst: 3,
      by: { kind: "header", name: "x-key" },
      enforce: false,
      scope: "local",
    },
    concurrency: 5,
    auth: {
      kind: "forward",
      forward: { pool: "auth", path: "/check?a=b" },
      copy: ["X-User"],
      timeoutMs: 250,
      preflight: true,
    },
    mirror: { pool: "default", share: 0.5, maxBodyBytes: 1_048_576, methods: ["GET", "POST"] },
    log: { level: "debug", format: "json", access: true },
    cluster: { redis: "rediss://user:secret@redis.internal:6380/2", prefix: "shop", secret: "0123456789abcdef" },
    pools: {},
    routes: null,
  });
});

Deno.test("configSchema reads stickiness and TLS as the reference shows them", () => {
  const { sticky, proxy } = configSchema.parse({
    sticky: { by: "cookie", cookie: "roundhouse", timeout: "30m", sameSite: "none", domain: ".Example.com" },
    proxy: { tls: { cert: "cert.pem", key: "key.pem" } },
  });
  assertEquals(sticky, {
    by: "cookie",
    cookie: "roundhouse",
    timeoutMs: 1_800_000,
    sameSite: "none",
    secure: null,
    domain: "example.com",
    path: "/",
  });
  assertEquals(proxy.tls, {
    files: [{ place: [], cert: "cert.pem", key: "key.pem" }],
    acme: null,
    selfSigned: null,
    clientCertificates: null,
    redirectFrom: null,
  });
});

Deno.test("jsonSchema() describes every setting with its default", () => {
  const schema: unknown = JSON.parse(jsonSchema());
  const bare: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (typeof node !== "object" || node === null) return;
    for (const [name, setting] of Object.entries((node as { properties?: object }).properties ?? {})) {
      const { description } = setting as { description?: unknown };
      if (typeof description !== "string" || description === "") bare.push(`${path}.${name}`);
    }
    for (const [name, child] of Object.entries(node)) walk(child, `${path}.${name}`);
  };
  walk(schema, "");
  assertEquals(bare, []);
  assertMatch(jsonSchema(), /"interval": \{\s+"description": "[^"]+ Default: \\"5s\\"\.",\s+"default": "5s"/);
});

Deno.test("jsonSchema() gives the same text each time, which config.schema.json holds", async () => {
  assertEquals(jsonSchema(), jsonSchema());
  const file = await Deno.readTextFile(new URL("../../../config.schema.json", import.meta.url));
  assertEquals(file, jsonSchema(), "out of date: run `deno task schema`");
});

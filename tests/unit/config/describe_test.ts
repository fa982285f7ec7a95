import { assertEquals } from "@std/assert";
import { describeConfig } from "../../../src/config/describe.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";

const describe = (file: ConfigFile) => describeConfig(configSchema.parse(file));

Deno.test("describeConfig() sums up what a configuration means", () => {
  assertEquals(describe({ backends: ["http://a", { url: "http://b/base", weight: 2 }] }), [
    "proxy      http://0.0.0.0:8080",
    "admin      http://127.0.0.1:8081, no token",
    "backends   2",
    "           http://a, weight 1",
    "           http://b/base, weight 2",
    "strategy   round-robin",
    "engine     fetch, 1 worker",
    "health     GET / every 5s, at most 2s each, status 200-499",
    "timeouts   connect 2s, response 30s, request unlimited, shutdown 30s",
    "retries    at most 2 for a request, 20% of all requests",
    "body size  unlimited",
    "log        info and up as text",
  ]);
});

Deno.test("describeConfig() shows what differs from the usual, and no secret", () => {
  const tls = { ca: "ca.pem", insecure: true };
  const lines = describe({
    proxy: { host: "::", port: 0, workers: "auto", maxBodySize: "10MB", tls: { selfSigned: ["a"] } },
    admin: { token: "hunter2" },
    backends: [{ url: "https://a", maxConnections: 1, backup: true, tls }],
    strategy: "header-hash:X-User",
    sticky: {},
    health: { type: "tcp", port: 99 },
    timeouts: { request: "1m30s" },
    retries: { budget: 0.07 },
    log: { format: "json", access: true },
  });
  assertEquals(lines, [
    "proxy      https://[::]:(any free port)",
    "admin      http://127.0.0.1:8081, with a token",
    "backends   1",
    "           https://a, weight 1, at most 1 connection, backup, authorities from ca.pem, certificate not checked",
    "strategy   header-hash:x-user, sticky by cookie roundhouse for 30m",
    "engine     fetch, a worker per core",
    "health     a TCP connection on port 99 every 5s, at most 2s each",
    "timeouts   connect 2s, response 30s, request 1m30s, shutdown 30s",
    "retries    at most 2 for a request, 7% of all requests",
    "body size  at most 10MB",
    "log        info and up as json, each request",
  ]);
});

Deno.test("describeConfig() tells when there is nothing to forward to and nothing is checked", () => {
  const lines = describe({ health: { type: "none" }, sticky: { by: "ip", timeout: "1h" } });
  assertEquals(lines.filter((line) => /^(backends|health|strategy)/.test(line)), [
    "backends   none",
    "strategy   round-robin, sticky by client address for 1h",
    "health     no checks",
  ]);
});

Deno.test("describeConfig() tells of certificates, and of those that clients need", () => {
  const clientCertificates = { ca: "clients.pem" };
  const config = configSchema.parse({ engine: "wire", proxy: { tls: { cert: "a", key: "b", clientCertificates } } });
  assertEquals(describeConfig(config, ["one", "two"]).slice(1, 4), [
    "tls        one",
    "           two",
    "           client certificates required, authorities from clients.pem",
  ]);
});

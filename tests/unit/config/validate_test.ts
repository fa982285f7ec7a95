import { assertEquals, assertNotMatch, assertThrows } from "@std/assert";
import { doubts } from "../../../src/config/cross_checks.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { validateConfig } from "../../../src/config/validate.ts";
import { ConfigError } from "../../../src/errors.ts";

/** The lines that refuse `raw`, or an empty list when it is accepted. */
function linesOf(raw: unknown, provenance = {}): readonly string[] {
  try {
    validateConfig(raw, provenance);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

const SOCKET_WANTED = "unix:/PATH of a socket (absolute, at most 107 bytes, without colons)";
const HOST_WANTED = `want a host name or an IP address, without a port, or ${SOCKET_WANTED}`;
const URL_WANTED =
  `want an http:// or https:// origin with an optional base path, without credentials, query or fragment, or ${SOCKET_WANTED}`;
const NAME_WANTED =
  "want a header name (letters, digits and !#$%&'*+-.^_`|~), not Connection, Content-Length or Transfer-Encoding";
const VALUE_WANTED = "want text without control characters, of the characters of Latin-1";

Deno.test("validateConfig() wants a certificate for a backend together with its key", () => {
  const tls = (tls: object) => ({ backends: [{ url: "https://a", tls }] });
  assertEquals(linesOf(tls({ cert: "c", key: "k" })), []);
  for (const half of [{ cert: "c" }, { key: "k" }]) {
    const [line = "", ...others] = linesOf(tls(half));
    assertEquals([line.startsWith("backends[0].tls: "), line.endsWith('want "cert" and "key" together'), others], [
      true,
      true,
      [],
    ], line);
  }
});

Deno.test("validateConfig() refuses a socket whose path is too long for the system", () => {
  const name = (length: number) => `unix:/${"x".repeat(length - 1)}`;
  assertEquals(linesOf({ proxy: { host: name(107) }, backends: [name(107)] }), []);
  assertEquals(linesOf({ proxy: { host: name(108) } }).length, 1);
  assertEquals(linesOf({ backends: [name(108)] }).length, 1);
});

Deno.test("a proxy on a socket may have the admin server's port, which it does not use", () => {
  assertEquals(linesOf({ proxy: { host: "unix:/a" }, admin: { port: 8080 } }), []);
});

// Each bad value with the whole of what is said about it.
const REFUSED: readonly (readonly [unknown, string])[] = [
  [[], "configuration: got an empty list, want an object"],
  [null, "configuration: got null, want an object"],
  ["x", 'configuration: got "x", want an object'],
  [{ prxy: {} }, 'prxy: unknown setting, did you mean "proxy"?'],
  [{ nothingLikeIt: {} }, "nothingLikeIt: unknown setting"],
  [{ "a b": 1 }, '["a b"]: unknown setting'],
  [{ $schema: 1 }, "$schema: got 1, want text"],
  [{ backends: Array(4097).fill("http://h") }, "backends: got 4097, want at most 4096 backends"],
  [{ proxy: { prot: 1 } }, 'proxy.prot: unknown setting, did you mean "port"?'],
  [{ proxy: [] }, "proxy: got an empty list, want an object"],
  [{ proxy: null }, "proxy: got null, want an object"],
  [{ proxy: { port: 65536 } }, "proxy.port: got 65536, want a whole number from 0 to 65535"],
  [{ proxy: { port: -1 } }, "proxy.port: got -1, want a whole number from 0 to 65535"],
  [{ proxy: { port: 80.5 } }, "proxy.port: got 80.5, want a whole number from 0 to 65535"],
  [{ proxy: { port: "80" } }, 'proxy.port: got "80", want a whole number from 0 to 65535'],
  [{ proxy: { port: null } }, "proxy.port: got null, want a whole number from 0 to 65535"],
  [{ proxy: { host: "" } }, `proxy.host: got "", ${HOST_WANTED}`],
  [{ proxy: { host: "a:80" } }, `proxy.host: got "a:80", ${HOST_WANTED}`],
  [{ proxy: { host: "http://a" } }, `proxy.host: got "http://a", ${HOST_WANTED}`],
  [{ proxy: { host: "unix:a.sock" } }, `proxy.host: got "unix:a.sock", ${HOST_WANTED}`],
  [{ admin: { host: "unix:/a" } }, 'admin.host: got "unix:/a", want a host name or an IP address, without a port'],
  [{ proxy: { socketMode: "660x" } }, 'proxy.socketMode: got "660x", want permissions in octal digits, such as "0660"'],
  [{ proxy: { socketMode: 660 } }, 'proxy.socketMode: got 660, want permissions in octal digits, such as "0660"'],
  [
    { proxy: { host: "unix:/a", workers: 2 } },
    'proxy.workers: got 2, want 1, because proxy.host is "unix:/a": only one can listen there',
  ],
  [
    { proxy: { host: "unix:/a", workers: "auto" } },
    'proxy.workers: got "auto", want 1, because proxy.host is "unix:/a": only one can listen there',
  ],
  [
    { proxy: { host: "unix:/a", tls: { selfSigned: ["a"] } } },
    'proxy.tls: not supported by engine "fetch", use engine "wire", because proxy.host is "unix:/a"',
  ],
  [
    { engine: "wire", proxy: { host: "unix:/a", tls: { selfSigned: ["a"], redirectFrom: 80 } } },
    'proxy.tls.redirectFrom: got 80, want null, because proxy.host is "unix:/a": it has no address for a port',
  ],
  [{ proxy: { workers: 0 } }, 'proxy.workers: got 0, want a whole number from 1 to 256, or "auto"'],
  [{ proxy: { workers: "all" } }, 'proxy.workers: got "all", want a whole number from 1 to 256, or "auto"'],
  [
    { proxy: { maxBodySize: "10 MB" } },
    'proxy.maxBodySize: got "10 MB", want a size such as "64KiB" or "10MB", a whole number of bytes, or "unlimited"',
  ],
  [
    { proxy: { maxHeaderSize: 1 } },
    'proxy.maxHeaderSize: got 1, want a size from "256B" to "16MiB", such as "64KiB" or "10MB", or a whole number of bytes',
  ],
  [
    { proxy: { maxHeaderSize: "1GB" } },
    'proxy.maxHeaderSize: got "1GB", want a size from "256B" to "16MiB", such as "64KiB" or "10MB", or a whole number of bytes',
  ],
  [
    { proxy: { trustForwarded: ["10.0.0.0/33"] } },
    'proxy.trustForwarded[0]: got "10.0.0.0/33", want an IP address or a CIDR range such as "10.0.0.0/8", or "unix"',
  ],
  [{ proxy: { trustForwarded: "10.0.0.0/8" } }, 'proxy.trustForwarded: got "10.0.0.0/8", want a list'],
  [{ proxy: { compression: "yes" } }, 'proxy.compression: got "yes", want true or false'],
  [{ proxy: { maxConnections: 0 } }, "proxy.maxConnections: got 0, want a whole number from 1 to 2147483647"],
  [
    { proxy: { tls: {} } },
    'proxy.tls: got an empty object, want either "cert" and "key", or "certificates", or "acme", or "selfSigned"',
  ],
  [
    { proxy: { tls: { cert: "a" } } },
    'proxy.tls: got an object with "cert", want either "cert" and "key", or "certificates", or "acme", or "selfSigned"',
  ],
  [
    { proxy: { tls: { cert: "a", key: "b", selfSigned: ["c"] } } },
    'proxy.tls: got an object with "cert", "key", "selfSigned", want either "cert" and "key", or "certificates", or "acme", or "selfSigned"',
  ],
  [{ proxy: { tls: { selfSigned: [] } } }, "proxy.tls.selfSigned: got an empty list, want at least one name"],
  [
    { proxy: { tls: { cert: "a", key: "b", certificates: [{ cert: "a", key: "b" }] } } },
    'proxy.tls: got an object with "cert", "key", "certificates", want either "cert" and "key", or "certificates", or "acme", or "selfSigned"',
  ],
  [
    { proxy: { tls: { certificates: [] } } },
    "proxy.tls.certificates: got an empty list, want at least one certificate",
  ],
  [
    { proxy: { tls: { certificates: [{ cert: "a", key: "b" }, { cert: "c" }] } } },
    "proxy.tls.certificates[1].key: got nothing, want the path of a file",
  ],
  [
    { proxy: { tls: { certificates: [{ cert: "a", key: "b" }, { cert: "c", key: "d" }] } } },
    'proxy.tls.certificates: 2 certificates are not supported by engine "fetch", use engine "wire"',
  ],
  [
    { proxy: { tls: { cert: "a", key: "b", clientCertificates: { ca: "c" } } } },
    'proxy.tls.clientCertificates: not supported by engine "fetch", use engine "wire"',
  ],
  [
    { engine: "wire", proxy: { tls: { cert: "a", key: "b", clientCertificates: {} } } },
    "proxy.tls.clientCertificates.ca: got nothing, want the path of a file",
  ],
  [{ proxy: { tls: { keys: "a" } } }, 'proxy.tls.keys: unknown setting, did you mean "key"?'],
  [
    { admin: { host: "0.0.0.0" } },
    'admin.token: got nothing, want a token, because admin.host is "0.0.0.0", not a loopback address',
  ],
  [{ admin: { port: 8080 } }, "admin.port: got 8080, want another port than proxy.port"],
  [{ admin: { persist: true } }, "admin.persist: got true, want a configuration file to write to"],
  [
    { cluster: { prefix: "a" } },
    'cluster.redis: got nothing, want a URL such as "redis://HOST:6379" or "rediss://USER:PASSWORD@HOST:6379/0"',
  ],
  [
    { cluster: { redis: "http://a:secret@b" } },
    'cluster.redis: got a value that is not shown, want a URL such as "redis://HOST:6379" or "rediss://USER:PASSWORD@HOST:6379/0"',
  ],
  [
    { cluster: { redis: "redis://a", prefix: "a b" } },
    'cluster.prefix: got "a b", want 1 to 64 letters, digits, dots, dashes and underscores',
  ],
  [{ backends: {} }, "backends: got an empty object, want a list"],
  [{ backends: [5] }, 'backends[0]: got 5, want a URL, or an object with "url"'],
  [{ backends: [null] }, 'backends[0]: got null, want a URL, or an object with "url"'],
  [{ backends: [[]] }, 'backends[0]: got an empty list, want a URL, or an object with "url"'],
  [{ backends: ["a"] }, `backends[0]: got "a", ${URL_WANTED}`],
  [{ backends: [{}] }, `backends[0].url: got nothing, ${URL_WANTED}`],
  [{ backends: [{ url: "http://a/?b" }] }, `backends[0].url: got "http://a/?b", ${URL_WANTED}`],
  [{ backends: ["http://u:p@h"] }, `backends[0]: got "http://***@h", ${URL_WANTED}`],
  [{ backends: ["http://a:0"] }, `backends[0]: got "http://a:0", ${URL_WANTED}`],
  [{ backends: [{ url: "http://a", wieght: 1 }] }, 'backends[0].wieght: unknown setting, did you mean "weight"?'],
  [
    { backends: ["http://a", { url: "http://b", weight: -1 }] },
    "backends[1].weight: got -1, want a whole number from 0 to 256",
  ],
  [{ backends: [{ url: "http://a", weight: 257 }] }, "backends[0].weight: got 257, want a whole number from 0 to 256"],
  [{ backends: [{ url: "http://a", weight: 1.5 }] }, "backends[0].weight: got 1.5, want a whole number from 0 to 256"],
  [
    { backends: [{ url: "http://a", maxConnections: 0 }] },
    "backends[0].maxConnections: got 0, want a whole number from 1 to 2147483647, or null",
  ],
  [{ backends: [{ url: "http://a", backup: 1 }] }, "backends[0].backup: got 1, want true or false"],
  [{ backends: [{ url: "http://a", tls: { ca: "" } }] }, 'backends[0].tls.ca: got "", want the path of a file'],
  [{ backends: ["http://a", "http://b", "HTTP://A:80/"] }, "backends[2]: same backend as backends[0] (http://a)"],
  [{ backends: ["http://a:6000"] }, 'backends[0]: port 6000 is blocked by engine "fetch", use engine "wire"'],
  [{ sticky: { by: "moon" } }, 'sticky.by: got "moon", want "cookie" or "ip"'],
  [{ sticky: "cookie" }, 'sticky: got "cookie", want an object'],
  [{ engine: "wier" }, 'engine: got "wier", want "fetch" or "wire"; did you mean "wire"?'],
  [
    { proxy: { maxBodySize: "unlimted" } },
    'proxy.maxBodySize: got "unlimted", want a size such as "64KiB" or "10MB", a whole number of bytes, or "unlimited"; ' +
    'did you mean "unlimited"?',
  ],
  [{ engine: "warp" }, 'engine: got "warp", want "fetch" or "wire"'],
  [{ health: { type: "udp" } }, 'health.type: got "udp", want "http", "tcp" or "none"'],
  [
    { health: { path: "health" } },
    'health.path: got "health", want a path that begins with "/", percent-encoded, without spaces or "#"',
  ],
  [
    { health: { method: "get" } },
    'health.method: got "get", want a method in capitals such as "GET" or "HEAD", neither CONNECT nor TRACE',
  ],
  [
    { health: { status: "399-200" } },
    'health.status: got "399-200", want statuses from 100 to 599 such as "200-399" or "200,204,300-399"',
  ],
  [
    { health: { status: 200 } },
    'health.status: got 200, want statuses from 100 to 599 such as "200-399" or "200,204,300-399"',
  ],
  [{ health: { body: "" } }, 'health.body: got "", want text that is not empty, or null'],
  [
    { health: { body: "ok", method: "HEAD" } },
    "health.body: can't be checked with health.method HEAD: a response to HEAD has no body",
  ],
  [
    { sticky: { sameSite: "none", secure: false } },
    'sticky.secure: got false, want true or null, because sticky.sameSite is "none"',
  ],
  [{ sticky: { domain: "a b" } }, 'sticky.domain: got "a b", want a domain such as "example.com"'],
  [{ sticky: { path: "/a;b" } }, 'sticky.path: got "/a;b", want a path that begins with "/", without spaces or ";"'],
  [{ health: { headers: { "a b": "x" } } }, `health.headers["a b"]: got the name "a b", ${NAME_WANTED}`],
  [{ health: { headers: { "X-A": "x\n" } } }, `health.headers.X-A: got "x\\n", ${VALUE_WANTED}`],
  [
    { health: { headers: { a: "1", A: "2" } } },
    'health.headers: got an object with "a", "A", want each header once, whatever its case',
  ],
  [{ health: { port: 0 } }, "health.port: got 0, want a whole number from 1 to 65535, or null"],
  [
    { health: { interval: "5" } },
    'health.interval: got "5", want a duration from "1ms" to "24d", such as "500ms", "5s" or "1m30s", or a whole ' +
    "number of milliseconds",
  ],
  [
    { health: { timeout: 0 } },
    'health.timeout: got 0, want a duration from "1ms" to "24d", such as "500ms", "5s" or "1m30s", or a whole number ' +
    "of milliseconds",
  ],
  [
    { health: { timeout: "0s" } },
    'health.timeout: got "0s", want a duration from "1ms" to "24d", such as "500ms", "5s" or "1m30s", or a whole ' +
    "number of milliseconds",
  ],
  [
    { timeouts: { connect: "25d" } },
    'timeouts.connect: got "25d", want a duration from "1ms" to "24d", such as "500ms", "5s" or "1m30s", or a whole ' +
    "number of milliseconds",
  ],
  [{ health: { jitter: 1.1 } }, "health.jitter: got 1.1, want a number from 0 to 1"],
  [{ health: { healthyThreshold: 0 } }, "health.healthyThreshold: got 0, want a whole number from 1 to 1000"],
  [{ passive: { maxEjected: -0.1 } }, "passive.maxEjected: got -0.1, want a number from 0 to 1"],
  [{ retries: { attempts: -1 } }, "retries.attempts: got -1, want a whole number from 0 to 100"],
  [{ retries: { budget: "20%" } }, 'retries.budget: got "20%", want a number from 0 to 1'],
  [{ retries: { statuses: [200] } }, "retries.statuses[0]: got 200, want a whole number from 400 to 599"],
  [{ queue: { size: -1 } }, "queue.size: got -1, want a whole number from 0 to 1000000"],
  [{ headers: { request: { remove: ["a b"] } } }, `headers.request.remove[0]: got "a b", ${NAME_WANTED}`],
  [
    { headers: { request: { set: { "content-LENGTH": "5" } } } },
    `headers.request.set.content-LENGTH: got the name "content-LENGTH", ${NAME_WANTED}`,
  ],
  [{ headers: { request: { set: { "X-☃": "x" } } } }, `headers.request.set["X-☃"]: got the name "X-☃", ${NAME_WANTED}`],
  [{ headers: { response: { set: { "X-A": "☃" } } } }, `headers.response.set.X-A: got "☃", ${VALUE_WANTED}`],
  [{ headers: { response: { set: { "X-A": 5 } } } }, `headers.response.set.X-A: got 5, ${VALUE_WANTED}`],
  [{ log: { level: "loud" } }, 'log.level: got "loud", want "debug", "info", "warn" or "error"'],
  [{ log: { format: "xml" } }, 'log.format: got "xml", want "text" or "json"'],
];

Deno.test("validateConfig() refuses each bad value with a line that says what it got and wants", () => {
  for (const [raw, line] of REFUSED) assertEquals(linesOf(raw)[0], line, JSON.stringify(raw));
});

Deno.test("validateConfig() tells of all problems at once, those between settings included", () => {
  const lines = linesOf({
    proxy: { prot: 1, host: 5, tls: { cert: "a", redirectFrom: "x" } },
    backends: ["http://a", { weight: -1, url: "b" }, "http://a/", 7, "http://c:6000"],
    engine: "fetch",
    timeouts: { idle: 1, connect: "x" },
    headers: { request: 1 },
  });
  assertEquals(lines.map((line) => line.slice(0, line.indexOf(":"))), [
    "proxy.host",
    "proxy.tls.redirectFrom",
    "proxy.prot",
    "backends[1].url",
    "backends[1].weight",
    "backends[3]",
    "timeouts.connect",
    "headers.request",
    "proxy.tls",
    "backends[2]",
    "timeouts.idle",
    "backends[4]",
  ]);
});

Deno.test("validateConfig() blames nothing on the default that stands in for a bad value", () => {
  assertEquals(linesOf({ proxy: { port: "x" }, admin: { port: 8080 } }).length, 1);
  assertEquals(linesOf({ engine: "x", timeouts: { idle: 1 } }).length, 1);
  assertEquals(linesOf({ admin: { host: "0.0.0.0", token: "" } }).length, 1);
});

Deno.test("validateConfig() lets changes be kept only where there is a file", () => {
  const raw = { admin: { persist: true } };
  const line = "admin.persist: got true, want a configuration file to write to";
  assertEquals(linesOf(raw).includes(line), true);
  assertEquals(linesOf(raw, { hasFile: true }).includes(line), false);
});

Deno.test("validateConfig() lets changes be kept in one place: the file, or the store of the cluster", () => {
  const line = "admin.persist: got true, want false beside cluster, which keeps changes for all replicas";
  const cluster = { redis: "redis://redis" };
  assertEquals(linesOf({ admin: { persist: true }, cluster }, { hasFile: true }).includes(line), true);
  assertEquals(linesOf({ admin: { persist: false }, cluster }).includes(line), false);
});

Deno.test("validateConfig() lets a limit count over all replicas only in a cluster", () => {
  const rateLimit = { requests: 1, scope: "cluster" };
  const routes = { "*/*": "default", "*/a": { pool: "default", rateLimit } };
  const wanted = 'got "cluster", want the setting cluster, which says where the replicas find each other';
  const lines = linesOf({ rateLimit, routes });
  assertEquals(lines.includes(`rateLimit.scope: ${wanted}`), true);
  assertEquals(lines.includes(`routes["*/a"].rateLimit.scope: ${wanted}`), true, lines.join("\n"));
  const others = [{ rateLimit, routes, cluster: { redis: "redis://redis" } }, { rateLimit: { requests: 1 } }];
  for (const raw of others) assertEquals(linesOf(raw).filter((line) => line.includes("scope")), []);
});

Deno.test("validateConfig() never shows a secret", () => {
  const secret = "hunter2";
  const headers = {
    "Authorization": `${secret}\n`,
    "cookie": `${secret}\n`,
    "X-Api-Key": `${secret}\n`,
    "X-Auth-Token": [secret],
  };
  const cases: readonly unknown[] = [
    { admin: { token: `${secret} x` } },
    { admin: { token: [secret] } },
    { admin: { token: { a: secret } } },
    { cluster: { redis: `redis://:${secret}@host:0x` } },
    { health: { headers } },
    { headers: { request: { set: headers } } },
    { headers: { response: { set: `Set-Cookie: ${secret}` } } },
    { backends: [`http://user:${secret}@host`] },
    { backends: [{ url: `http://user:${secret}@host` }] },
    { backends: [`user:${secret}@host`] },
  ];
  for (const raw of cases) {
    const lines = linesOf(raw);
    assertEquals(lines.length > 0, true);
    assertNotMatch(lines.join("\n"), /hunter2/);
  }
  assertEquals(
    linesOf({ admin: { token: 12345 } })[0],
    "admin.token: got a value that is not shown, want visible ASCII characters without spaces, or null",
  );
});

Deno.test("validateConfig() shows long values cut short", () => {
  const [line = ""] = linesOf({ log: { level: "x".repeat(5000) } });
  assertEquals(line.length < 200, true, line);
});

Deno.test("validateConfig() wants a token for an admin host that others can reach", () => {
  for (const host of ["0.0.0.0", "::", "192.168.0.1", "example.org", "::ffff:10.0.0.1", "localhost.example.org", "0"]) {
    assertEquals(linesOf({ admin: { host } }).map((line) => line.split(":")[0]), ["admin.token"], host);
    assertEquals(linesOf({ admin: { host, token: "t" } }), [], host);
  }
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"]) {
    assertEquals(linesOf({ admin: { host } }), [], host);
  }
});

Deno.test("validateConfig() wants a port of its own for each listener, where their addresses overlap", () => {
  const ports = (proxy: string, admin: string, port: number) =>
    linesOf({ proxy: { host: proxy, port }, admin: { host: admin, port } }).length;
  assertEquals(ports("0.0.0.0", "127.0.0.1", 9000), 1);
  assertEquals(ports("127.0.0.1", "127.0.0.1", 9000), 1);
  assertEquals(ports("127.0.0.2", "127.0.0.1", 9000), 0);
  assertEquals(ports("0.0.0.0", "127.0.0.1", 0), 0);
  const redirect = linesOf({ proxy: { port: 8443, tls: { selfSigned: ["a"], redirectFrom: 8443 } } });
  assertEquals(redirect[0], "proxy.tls.redirectFrom: got 8443, want another port than proxy.port");
});

Deno.test("validateConfig() names the engine that can do what the chosen one can't", () => {
  const onlyWire = [
    [{ proxy: { maxConnections: 5 } }, "proxy.maxConnections"],
    [{ proxy: { maxHeaderSize: "1KiB" } }, "proxy.maxHeaderSize"],
    [{ proxy: { proxyProtocol: true } }, "proxy.proxyProtocol"],
    [{ backends: ["http://a", { url: "http://b", tls: { insecure: true } }] }, "backends[1].tls.insecure"],
    [{ timeouts: { idle: "61s" } }, "timeouts.idle"],
    [{ timeouts: { header: "61s" } }, "timeouts.header"],
    [{ timeouts: { keepAlive: "61s" } }, "timeouts.keepAlive"],
  ] as const;
  for (const [settings, path] of onlyWire) {
    assertEquals(linesOf(settings), [`${path}: not supported by engine "fetch", use engine "wire"`]);
    assertEquals(linesOf({ ...settings, engine: "wire" }).includes(`${path}: not supported by engine "wire"`), false);
  }
  const compressed = linesOf({ engine: "wire", proxy: { compression: true } });
  assertEquals(compressed[0], 'proxy.compression: not supported by engine "wire", use engine "fetch"');
  assertEquals(linesOf({ engine: "wire", backends: ["http://a:6000"] }).filter((line) => line.includes("6000")), []);
});

Deno.test("validateConfig() takes a default written out for not written at all", () => {
  const settings = {
    proxy: { maxConnections: 10_000, maxHeaderSize: 65_536, tls: null, workers: 1, maxBodySize: "unlimited" },
    timeouts: { idle: "1m", header: 10_000, keepAlive: "1m15s", request: 0 },
    backends: [{
      url: "http://a",
      backup: false,
      maxConnections: null,
      tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
    }],
    passive: { serverErrors: 0, window: "10s", ejectFor: "10s", maxEjected: 1 },
  };
  assertEquals(linesOf(settings), []);
});

Deno.test("validateConfig() warns of a pool that can serve nothing", () => {
  const warningsOf = (backends: unknown) => validateConfig({ backends }).warnings;
  assertEquals(warningsOf([]), ["backends: none, so every request gets 503"]);
  assertEquals(warningsOf([{ url: "http://a", weight: 0 }]), [
    "backends: every weight is 0, so no backend gets new traffic",
  ]);
  assertEquals(warningsOf([{ url: "http://a", weight: 0 }, "http://b"]), []);
});

Deno.test("validateConfig() warns of certificates that go unchecked, where there are any", () => {
  const insecure = (url: string) => ({ url, tls: { insecure: true } });
  const { warnings } = validateConfig({ engine: "wire", backends: [insecure("https://a"), insecure("http://b")] });
  assertEquals(warnings, ["tls.insecure: the certificate of https://a is not checked"]);
});

Deno.test("doubts() warns of settings that have an effect only with a unix socket, or only without", () => {
  const doubtsOf = (proxy: object) => doubts(configSchema.parse({ backends: ["http://a"], proxy }), 1);
  const host = "unix:/run/a.sock";
  assertEquals(doubtsOf({ host, socketMode: "0600", trustForwarded: ["unix"] }), []);
  assertEquals(doubtsOf({ host, port: 80 }), ["proxy.port: 80 has no effect, because proxy.host is a unix socket"]);
  assertEquals(doubtsOf({ socketMode: "0600", trustForwarded: ["10.0.0.0/8", "unix"] }), [
    'proxy.socketMode: has no effect, because proxy.host is "0.0.0.0", not a unix socket',
    'proxy.trustForwarded: "unix" has no effect, because proxy.host is "0.0.0.0", not a unix socket',
  ]);
});

Deno.test("doubts() warns of more workers than cores", () => {
  const doubtsOf = (workers: number | "auto", cores: number) =>
    doubts(configSchema.parse({ backends: ["http://a"], proxy: { workers } }), cores);
  assertEquals(doubtsOf(3, 2), ["proxy.workers: 3 on 2 cores, so they compete for CPU time"]);
  for (const [workers, cores] of [[2, 2], [1, 1], ["auto", 1]] as const) assertEquals(doubtsOf(workers, cores), []);
});

Deno.test("validateConfig() names a flag or a variable instead of the path it set", () => {
  const origins = [{ path: ["backends"], name: "--backend" }, { path: ["proxy", "port"], name: "--port" }];
  const raw = { proxy: { port: -1, host: 5 }, backends: ["x", "http://a", "http://a"] };
  assertEquals(linesOf(raw, { origins }).map((line) => line.split(",")[0]), [
    "proxy.host: got 5",
    "--port: got -1",
    '--backend: got "x"',
    "--backend: same backend as an earlier --backend (http://a)",
  ]);
});

Deno.test("validateConfig() reads a variable's text as the number or truth value that the setting wants", () => {
  const raw = { proxy: { port: "9000", host: "9000" }, health: { startUp: "false" }, admin: { token: "12" } };
  const references = [["proxy", "port"], ["proxy", "host"], ["health", "startUp"], ["admin", "token"]];
  const { config } = validateConfig(raw, { references });
  assertEquals([config.proxy.port, config.proxy.host], [9000, "9000"]);
  assertEquals([config.health.startUp, config.admin.token], [false, "12"]);
  assertEquals(linesOf({ proxy: { port: "99999" } }, { references }), [
    "proxy.port: got 99999, want a whole number from 0 to 65535",
  ]);
});

Deno.test("validateConfig() leaves what it was given as it is", () => {
  const raw = { proxy: { prot: 1, port: "5" }, backends: ["x", "http://a"] };
  const before = structuredClone(raw);
  assertThrows(() => validateConfig(raw, { references: [["proxy", "port"]] }), ConfigError);
  assertEquals(raw, before);
});

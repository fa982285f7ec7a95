/** The one schema of the configuration file: every setting with its kind, range, default and description. */
import * as z from "zod";
import { MAX_BACKENDS } from "./backend_limit.ts";
import { backend } from "./backend_schema.ts";
import {
  addressRange,
  cookieDomain,
  cookieName,
  cookiePath,
  type DeepReadonly,
  duration,
  filePath,
  flag,
  fraction,
  headerMap,
  headerName,
  host,
  listenPort,
  MAX_COUNT,
  probeMethod,
  probePath,
  size,
  sizeLimit,
  statusRanges,
  strategy,
  text,
  whole,
  workers,
} from "./fields.ts";

import { bareSetting, ENGINES, renamed, section, setting } from "./setting.ts";

export { backendFields, type BackendSpec, backendSpecSchema } from "./backend_schema.ts";
export { normaliseBackendUrl } from "./backend_url.ts";
export type { StrategyConfig } from "./fields.ts";

/** The cookie of sessions where nothing else is said. */
const DEFAULT_COOKIE: StickyCookie = {
  cookie: "roundhouse",
  sameSite: "lax",
  secure: null,
  domain: null,
  path: "/",
};

/** Cookies may live longer than a timer can run; browsers keep them for 400 days at most. */
const MAX_STICKY_MS = 400 * 86_400_000;

/** How HTTPS is spoken to clients. */
type ProxyTls =
  & { readonly redirectFrom: number | null }
  & (
    | { readonly kind: "files"; readonly cert: string; readonly key: string }
    | { readonly kind: "self-signed"; readonly names: string[] }
  );

const proxyTlsKeys = z.strictObject({
  cert: bareSetting(filePath.optional(), 'File with the certificate chain (PEM); wants "key" beside it.'),
  key: bareSetting(filePath.optional(), "File with the private key (PEM)."),
  selfSigned: bareSetting(
    z.array(host).min(1, "at least one name").optional(),
    "Instead of files: names that a certificate made at the start is for.",
  ),
  redirectFrom: setting(
    listenPort.nullable(),
    null,
    "Port, 0 to 65535, on which plain HTTP is answered with 308 to https://; null for none.",
    { restart: true },
  ),
});

const proxyTls = z.codec(proxyTlsKeys, z.custom<ProxyTls>(), {
  decode({ cert, key, selfSigned, redirectFrom }, context): ProxyTls {
    if (cert !== undefined && key !== undefined && selfSigned === undefined) {
      return { kind: "files", cert, key, redirectFrom };
    }
    if (selfSigned !== undefined && cert === undefined && key === undefined) {
      return { kind: "self-signed", names: selfSigned, redirectFrom };
    }
    const message = `either "cert" and "key", or "selfSigned"`;
    context.issues.push({ code: "custom", message, input: { cert, key, selfSigned } });
    return z.NEVER;
  },
  encode(tls) {
    const { redirectFrom } = tls;
    if (tls.kind === "files") return { cert: tls.cert, key: tls.key, redirectFrom };
    return { selfSigned: tls.names, redirectFrom };
  },
});

const proxy = renamed(
  z.strictObject({
    host: setting(host, "0.0.0.0", "Host name or IP address that the proxy listens on.", { restart: true }),
    port: setting(listenPort, 8080, "Port that the proxy listens on, 0 to 65535; 0 takes any free port.", {
      restart: true,
    }),
    workers: setting(
      workers,
      1,
      `Isolates that serve the port, 1 to 256; "auto": one per core.`,
      { restart: true },
    ),
    maxBodySize: setting(
      sizeLimit(),
      "unlimited",
      `Largest request body, a size or a whole number of bytes; larger ones get 413; "unlimited" for no limit.`,
    ),
    trustForwarded: setting(
      z.array(addressRange),
      [],
      "Addresses and CIDR ranges whose X-Forwarded-* headers are believed and appended to; others' are replaced.",
    ),
    compression: setting(flag, false, "Whether responses are compressed for clients that accept it.", {
      engine: "fetch",
      restart: true,
    }),
    maxConnections: setting(
      whole(1, MAX_COUNT),
      10_000,
      `Most client connections, 1 to ${MAX_COUNT}; more wait.`,
      { engine: "wire" },
    ),
    maxHeaderSize: setting(
      size(256, 16 * 1024 ** 2),
      "64KiB",
      "Largest head of a request or response, 256B to 16MiB, or whole bytes; larger requests get 431.",
      { engine: "wire" },
    ),
    proxyProtocol: setting(flag, false, "Whether each connection begins with a PROXY protocol header.", {
      engine: "wire",
      restart: true,
    }),
    tls: setting(
      proxyTls.nullable(),
      null,
      `TLS 1.2 and up: { "cert", "key" } or { "selfSigned" }, either with "redirectFrom"; null for plain HTTP.`,
      { restart: "presence" },
    ),
  }),
  { maxBodySize: "maxBodyBytes", maxHeaderSize: "maxHeaderBytes" },
);

const admin = z.strictObject({
  host: setting(host, "127.0.0.1", "Host name or IP address that the admin server listens on.", { restart: true }),
  port: setting(listenPort, 8081, "Port that the admin server listens on, 0 to 65535; 0 takes any free port.", {
    restart: true,
  }),
  token: setting(
    text(/^[!-~]+$/, "visible ASCII characters without spaces, or null").nullable(),
    null,
    "Bearer token that every admin route wants; needed unless the host is a loopback address; null for none.",
    { secret: "whole" },
  ),
  persist: setting(flag, false, "Whether changes made through the admin API are written to this file."),
});

/** What clients that stick by cookie are given. */
interface StickyCookie {
  readonly cookie: string;
  readonly sameSite: "lax" | "strict" | "none";
  /** `null`: where the client's connection is encrypted. */
  readonly secure: boolean | null;
  /** `null`: the host that the client asked. */
  readonly domain: string | null;
  readonly path: string;
}

/** How clients stick to a backend. */
type Sticky =
  | ({ readonly by: "cookie"; readonly timeoutMs: number } & StickyCookie)
  | { readonly by: "ip"; readonly timeoutMs: number };

const stickyKeys = z.strictObject({
  by: setting(z.enum(["cookie", "ip"]), "cookie", "What a client is recognised by: cookie or ip."),
  cookie: setting(cookieName, DEFAULT_COOKIE.cookie, "Name of the cookie."),
  timeout: setting(duration(1000, MAX_STICKY_MS), "30m", "How long a client keeps its backend, 1s to 400d."),
  sameSite: setting(
    z.enum(["lax", "strict", "none"]),
    DEFAULT_COOKIE.sameSite,
    "Which requests that begin at other sites carry the cookie: lax, strict or none (RFC 6265bis); none wants Secure.",
  ),
  secure: setting(
    flag.nullable(),
    DEFAULT_COOKIE.secure,
    "Whether the cookie is Secure; null: where the client's connection is encrypted, here or at a trusted proxy.",
  ),
  domain: setting(
    cookieDomain.nullable(),
    DEFAULT_COOKIE.domain,
    "Domain that the cookie is for, its subdomains included; null: the host alone that the client asked.",
  ),
  path: setting(cookiePath, DEFAULT_COOKIE.path, "Path that the cookie is for; begins with a slash."),
});

/** What a cookie is like means nothing where clients stick by address. */
const sticky = z.codec(stickyKeys, z.custom<Sticky>(), {
  decode({ by, timeout: timeoutMs, ...cookie }): Sticky {
    return by === "cookie" ? { by, ...cookie, timeoutMs } : { by, timeoutMs };
  },
  encode: ({ timeoutMs, ...rest }) => ({ ...DEFAULT_COOKIE, ...rest, timeout: timeoutMs }),
});

const health = renamed(
  z.strictObject({
    type: setting(
      z.enum(["http", "tcp", "none"]),
      "http",
      "Kind of check: http, tcp (a connection is enough) or none.",
    ),
    path: setting(
      probePath.nullable(),
      null,
      "Path that is asked for, with an optional query; begins with a slash; null for / and a wider status.",
      { secret: "in-query" },
    ),
    method: setting(probeMethod, "GET", "Method of the check, in capitals."),
    status: setting(
      statusRanges.nullable(),
      null,
      "Statuses that pass: ranges and numbers from 100 to 599, with commas; null for 200-399, or 200-499 without a path.",
    ),
    body: setting(
      text(/[^]/, "text that is not empty, or null").nullable(),
      null,
      "Text that the answer's body has to contain; null for any body.",
    ),
    headers: setting(headerMap, {}, "Headers sent with each check, by name.", { secret: "by-name" }),
    port: setting(
      whole(1, 65535, ", or null").nullable(),
      null,
      "Port that is checked, 1 to 65535; null for the backend's own.",
    ),
    tls: setting(
      flag.nullable(),
      null,
      "Whether http checks use TLS; null for as the backend's URL says.",
    ),
    interval: setting(duration(1), "5s", "Time from one check to the next, at least 1ms."),
    timeout: setting(duration(1), "2s", "Longest time for one check, at least 1ms."),
    jitter: setting(fraction(0, 1), 0.1, "Part of the interval, 0 to 1, by which each check is moved at random."),
    healthyThreshold: setting(whole(1, 1000), 1, "Checks in a row, 1 to 1000, that have to pass for up."),
    unhealthyThreshold: setting(whole(1, 1000), 1, "Checks in a row, 1 to 1000, that have to fail for down."),
    startUp: setting(flag, true, "true: backends count as up until a check fails; false: down until one passes."),
    failOpen: setting(
      flag,
      false,
      "Whether all backends serve while checks have taken every one of them out; an event says so.",
    ),
    slowStart: setting(
      duration(0),
      "0s",
      "Time over which the weight of a new or returning backend rises from one tenth; 0s: off.",
    ),
  }),
  { interval: "intervalMs", timeout: "timeoutMs", slowStart: "slowStartMs" },
);

const passive = renamed(
  z.strictObject({
    connectFailures: setting(
      whole(0, 1000),
      1,
      "Failed connections in a row, 0 to 1000, that mark a backend down until a check passes; 0: never.",
    ),
    serverErrors: setting(
      whole(0, 1_000_000),
      0,
      "Answers of 5xx and failures within the window, 0 to 1000000, that eject a backend; 0: off.",
    ),
    window: setting(duration(1), "10s", "Time over which server errors are counted, at least 1ms."),
    ejectFor: setting(
      duration(1),
      "10s",
      "How long an ejected backend stays out, at least 1ms; up to ten times as long when it repeats.",
    ),
    maxEjected: setting(fraction(0, 1), 1, "Most backends ejected at a time, as a part of all from 0 to 1."),
  }),
  { window: "windowMs", ejectFor: "ejectForMs" },
);

const timeouts = renamed(
  z.strictObject({
    connect: setting(duration(1), "2s", "Longest time to connect to a backend, at least 1ms."),
    response: setting(
      duration(1),
      "30s",
      "Longest time from a request's last byte to the response's head, at least 1ms.",
    ),
    request: setting(duration(0), "0s", "Longest time for a request as a whole; 0s: no limit."),
    shutdown: setting(
      duration(0),
      "30s",
      "How long requests in flight may finish when roundhouse stops; 0s: not at all.",
    ),
    idle: setting(duration(1), "60s", "Longest time without a byte of a body, at least 1ms.", { engine: "wire" }),
    header: setting(
      duration(1),
      "10s",
      "Longest time for a client to send a request's head, at least 1ms.",
      { engine: "wire" },
    ),
    keepAlive: setting(duration(1), "75s", "How long a client's idle connection stays open, at least 1ms.", {
      engine: "wire",
    }),
  }),
  {
    connect: "connectMs",
    response: "responseMs",
    request: "requestMs",
    shutdown: "shutdownMs",
    idle: "idleMs",
    header: "headerMs",
    keepAlive: "keepAliveMs",
  },
);

const retries = z.strictObject({
  attempts: setting(whole(0, 100), 2, "Most further backends that a request is tried on, 0 to 100."),
  budget: setting(fraction(0, 1), 0.2, "Most retries over 10s, as a part of the requests from 0 to 1, plus 10."),
  statuses: setting(z.array(whole(400, 599)), [], "Statuses, 400 to 599, after which another backend is tried."),
});

const queue = renamed(
  z.strictObject({
    size: setting(
      whole(0, 1_000_000),
      1024,
      "Most requests that wait while all backends are at maxConnections, 0 to 1000000; 0: no queue.",
    ),
    timeout: setting(duration(0), "1s", "Longest wait in the queue."),
    hold: setting(
      duration(0),
      "3s",
      "How long requests wait for a backend to come back after the last one was marked down; 0: not at all.",
    ),
  }),
  { timeout: "timeoutMs", hold: "holdMs" },
);

const headerChanges = z.strictObject({
  set: setting(headerMap, {}, "Headers to add or replace, by name.", { secret: "by-name" }),
  remove: setting(z.array(headerName), [], "Names of headers to drop."),
});

const headers = z.strictObject({
  request: section(headerChanges, "Changes to what backends get."),
  response: section(headerChanges, "Changes to what clients get."),
});

const log = z.strictObject({
  level: setting(
    z.enum(["debug", "info", "warn", "error"]),
    "info",
    "Least level that is logged: debug, info, warn or error.",
  ),
  format: setting(z.enum(["text", "json"]), "text", "Form of a log line: text or json."),
  access: setting(flag, false, "Whether each request logs a line."),
});

const file = z.strictObject({
  $schema: z.string().optional().meta({
    description: "Where an editor finds this schema; means nothing to roundhouse.",
  }),
  proxy: section(proxy, "The server that forwards requests."),
  admin: section(admin, "The server that shows and changes the pool."),
  backends: setting(
    z.array(backend).max(MAX_BACKENDS, `at most ${MAX_BACKENDS} backends`),
    [],
    `The servers that requests are forwarded to, at most ${MAX_BACKENDS}: URLs, or objects with more settings.`,
  ),
  strategy: setting(strategy, "round-robin", "How a backend is chosen: a strategy's name."),
  sticky: setting(sticky.nullable(), null, "How a client is sent to the same backend again; null: not at all."),
  engine: setting(z.enum(ENGINES), "fetch", "How bytes move: fetch or wire.", { restart: true }),
  health: section(health, "Checks of each backend at an interval."),
  passive: section(passive, "What requests tell about a backend's health."),
  timeouts: section(timeouts, "Limits of time, as durations or whole milliseconds."),
  retries: section(retries, "When a request is tried on another backend."),
  queue: section(queue, "Where requests wait while every eligible backend is at its maxConnections."),
  headers: section(headers, "Headers set and removed on the way."),
  log: section(log, "What is logged."),
});

/** The schema of the whole file. Reading `{}` with it gives the defaults; `z.encode` gives the file's words back. */
export const configSchema = z.codec(file, z.custom<Omit<z.output<typeof file>, "$schema">>(), {
  decode: ({ $schema: _, ...config }) => config,
  encode: (config) => config,
});

/** What the file may say: everything optional, durations and sizes as text or whole numbers. */
export type ConfigFile = z.input<typeof configSchema>;

/** What the code sees: complete, read-only, durations in whole milliseconds (`...Ms`) and sizes in bytes (`...Bytes`). */
export type Config = DeepReadonly<z.output<typeof configSchema>>;

/** How clients stick to a backend; `null` where they do not. */
export type StickyConfig = Config["sticky"];

/** How active checks are made. */
export type HealthConfig = Config["health"];

/** The file's format as JSON Schema (draft 2020-12), for editors: 2-space indent, a newline at the end. */
export function jsonSchema(): string {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { io: "input", target: "draft-2020-12" });
  const about = { title: "roundhouse configuration", description: "Comments and trailing commas are allowed." };
  return `${JSON.stringify({ $schema, ...about, ...rest }, null, 2)}\n`;
}

/** The admin server: where it listens, its route table, and the order in which requests are checked. */

import { Hono } from "hono";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { GuardLimits } from "../net/guarded_connection.ts";
import { GuardedServer } from "../net/guarded_server.ts";
import type { SharedPort } from "../net/shared_port.ts";
import type { Incoming } from "../net/incoming.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import {
  type AdminContext,
  type AdminEnv,
  bearer,
  operationOf,
  queryOf,
  readJson,
  type Route,
  sameSite,
} from "./guard.ts";
import type { MetricsSource } from "./metrics.ts";
import { AdminError, problemResponse } from "./admin_error.ts";
import type { AdminPools } from "./admin_pool.ts";
import { backendRoutes, type BackendsTarget } from "./routes/backends.ts";
import { clusterRoutes, type ClusterTarget } from "./routes/cluster.ts";
import { configRoutes, type ConfigSource } from "./routes/config.ts";
import { dashboardRoutes } from "./routes/dashboard.ts";
import { eventRoutes, type EventsSource } from "./routes/events.ts";
import { explainRoutes, type ExplainTarget } from "./routes/explain.ts";
import { historyRoutes, type HistorySource } from "./routes/history.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { poolRoutes } from "./routes/pools.ts";
import { routeRoutes, type RoutesTarget } from "./routes/routes.ts";
import { openApiRoutes } from "./routes/openapi.ts";
import { reloadRoutes, type ReloadTarget } from "./routes/reload.ts";
import { type Facts, statusRoutes } from "./routes/status.ts";

/** What the admin server reads and changes. */
export interface AdminOptions
  extends
    BackendsTarget,
    ClusterTarget,
    ConfigSource,
    EventsSource,
    ExplainTarget,
    HistorySource,
    MetricsSource,
    ReloadTarget,
    RoutesTarget {
  readonly pools: AdminPools;
  readonly config: Config["admin"];
  readonly pool: ServerPool;
  readonly log: Log;
  /** The version of roundhouse, for `GET /status`. */
  readonly version: string;
  readonly startedAt: Date;
  readonly facts: () => Facts;
  /** Whether a graceful stop has begun: `/readyz` is 503 from then on. */
  readonly isStopping: () => boolean;
  /** Whether every listener can accept clients: `/readyz` is 503 otherwise. */
  readonly allAccepting: () => boolean;
  /** Called when this server can't accept clients, and when it can again. */
  readonly acceptingChanged: (accepting: boolean) => void;
  /** Accepts clients there; the default is a listener of its own. */
  readonly shared?: SharedPort | undefined;
  /** Time limits for clients. */
  readonly timeouts: Config["timeouts"];
}

/** A running admin server. */
export interface AdminServer {
  /** Its address, with the port that the system chose for port 0. */
  readonly address: Deno.NetAddr;
  /** Uses another token and other time limits from the next request on. Its address stays. */
  configure(config: Pick<Config, "admin" | "timeouts">): void;
  /** Accepts no more clients, because another process does. */
  release(): Promise<void>;
  /** Lets requests in flight finish for a short time, then closes every connection. May be called more than once. */
  stop(): Promise<void>;
}

/** The most connections: more than a few pages, their event streams and Prometheus need. */
const MAX_CONNECTIONS = 256;

/** The largest head of a request. */
const MAX_HEADER_BYTES = 64 * 1024;

/** Grace period of a stop. Responses take milliseconds, so only clients that neither read nor write remain after it. */
const STOP_GRACE_MS = 1000;

/**
 * Starts the admin server on `config.host` and `config.port`.
 *
 * @throws {Deno.errors.AddrInUse} when something listens there already; other errors of `Deno.listen` likewise
 */
export function startAdminServer(options: AdminOptions): AdminServer {
  const { config, timeouts, log } = options;
  let app = adminApp(options);
  const server = new GuardedServer({
    hostname: config.host,
    port: config.port,
    limits: limitsOf(timeouts),
    log,
    acceptingChanged: options.acceptingChanged,
    shared: options.shared,
    needsHost: false, // `sameSite` checks it
    handle: async (incoming) => await app.fetch(new AdminRequest(incoming), incoming),
    refuse: (status, detail) => problemResponse(new AdminError(status, detail)),
  });
  let stopped: Promise<void> | undefined;
  return {
    address: server.address,
    configure({ admin, timeouts }) {
      app = adminApp({ ...options, config: admin });
      server.configure(limitsOf(timeouts));
    },
    release: () => server.release(),
    stop: () => stopped ??= server.stop(STOP_GRACE_MS),
  };
}

function limitsOf({ headerMs, keepAliveMs, idleMs }: Config["timeouts"]): GuardLimits {
  return { headerMs, keepAliveMs, idleMs, maxConnections: MAX_CONNECTIONS, maxHeaderBytes: MAX_HEADER_BYTES };
}

/**
 * The request as it was sent. The constructor would change its target and refuse some methods. Its body is in `env`.
 */
class AdminRequest extends Request {
  override readonly method: string;
  override readonly url: string;

  constructor({ head: { method, target, authority, fields }, local, signal }: Incoming) {
    super("http://localhost", { headers: fields as [string, string][], signal });
    this.method = method;
    // The target of CONNECT is an authority, not a path.
    this.url = method === "CONNECT" ? `http://${target}/` : `http://${authority ?? local}${slashed(target)}`;
  }
}

/** The target as a path. The only target that is not a path is `*`. */
function slashed(target: string): string {
  return target.startsWith("/") ? target : `/${target}`;
}

/** Every route. A new resource needs one line here. Tests check every refusal on each route. */
export function routeTable(options: AdminOptions): readonly Route[] {
  const table: readonly Route[] = [
    ...statusRoutes(options),
    ...poolRoutes(options),
    ...routeRoutes(options),
    ...backendRoutes(options),
    ...clusterRoutes(options),
    ...configRoutes(options),
    ...eventRoutes(options),
    ...explainRoutes(options),
    ...historyRoutes(options),
    ...metricsRoutes(options),
    ...reloadRoutes(options),
    ...openApiRoutes({ version: options.version, hasToken: options.config.token !== null, routes: () => table }),
    ...dashboardRoutes(),
  ];
  return table;
}

/** The checks, in this order: 403, 401, 404, 405, 415, 413, 400. */
function adminApp(options: AdminOptions): Hono<AdminEnv> {
  const { token } = options.config;
  const app = new Hono<AdminEnv>();
  const tokenGuard = bearer(token);
  app.onError((error, { req }) => refuse(error, options.log, { method: req.method, path: req.path }));
  app.notFound(() => problemResponse(new AdminError(404, "no such path")));
  app.use(sameSite(token !== null));
  for (const route of routeTable(options)) {
    if (route.needsNoToken !== true) app.use(route.path, tokenGuard);
    app.all(route.path, async (context) => {
      route.find?.(context);
      const operation = operationOf(route, context.req.method);
      context.set("body", await readJson(context.req.raw.headers, bodyOf(context)));
      context.set("query", queryOf(context.req.url, operation));
      return await operation.answer(context);
    });
  }
  // For paths without a route. Without the token they get 401 too, so that nobody learns which paths exist.
  app.use(tokenGuard);
  return app;
}

/** The body to read; none for GET, whose body has no meaning (RFC 9110 §9.3.1). */
function bodyOf({ req: { method }, env: { body } }: AdminContext): Incoming["body"] {
  return method === "GET" || method === "HEAD" ? undefined : body;
}

/** The response to an exception. One that is not a refusal is a bug: it is logged, and the caller gets no details. */
function refuse(error: unknown, log: Log, request: { readonly method?: string; readonly path?: string }): Response {
  if (error instanceof AdminError) return problemResponse(error);
  const stack = error instanceof Error ? error.stack : undefined;
  log.error("admin request failed", { ...request, error: messageOf(error), stack });
  return problemResponse(new AdminError(500, "the admin server failed to handle this request"));
}

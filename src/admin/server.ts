/** The admin server: where it listens, its route table, and the order in which requests are checked. */

import { Hono } from "hono";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import { LastingServer } from "../net/lasting_server.ts";
import type { Log } from "../log.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import { type AdminEnv, bearer, operationOf, queryOf, readJson, type Route, sameSite } from "./guard.ts";
import type { MetricsSource } from "./metrics.ts";
import { AdminProblem, problemResponse } from "./problem.ts";
import { backendRoutes, type BackendsTarget } from "./routes/backends.ts";
import { configRoutes, type ConfigSource } from "./routes/config.ts";
import { dashboardRoutes } from "./routes/dashboard.ts";
import { EVENT_STREAM, eventRoutes, type EventsSource } from "./routes/events.ts";
import { explainRoutes, type ExplainTarget } from "./routes/explain.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { reloadRoutes, type ReloadTarget } from "./routes/reload.ts";
import { type Facts, statusRoutes } from "./routes/status.ts";

/** What the admin server shows and changes. */
export interface AdminOptions
  extends BackendsTarget, ConfigSource, EventsSource, ExplainTarget, MetricsSource, ReloadTarget {
  readonly config: Config["admin"];
  readonly pool: ServerPool;
  readonly log: Log;
  /** Of roundhouse, as `GET /status` shows it. */
  readonly version: string;
  readonly startedAt: Date;
  readonly facts: () => Facts;
  /** Whether a graceful stop has begun: `/readyz` is 503 from then on. */
  readonly isStopping: () => boolean;
  /** Whether every listener can accept clients: `/readyz` is 503 otherwise. */
  readonly doorsOpen: () => boolean;
  /** Told when this server can accept no client, and when it can again. */
  readonly doorChanged: (open: boolean) => void;
  /** How long a request's body may take to arrive. Default: 10 s. */
  readonly bodyDeadlineMs?: number;
}

/** A running admin server. */
export interface AdminServer {
  /** Where it listens, with the port that the system chose for port 0. */
  readonly address: Deno.NetAddr;
  /** Goes by another token from the next request on; where it listens stays. */
  configure(config: Config["admin"]): void;
  /** Lets requests in flight finish, but not for long, and closes every connection. May be called again. */
  stop(): Promise<void>;
}

const BODY_DEADLINE_MS = 10_000;

/** Answers take milliseconds; whatever is still open after this is a client that does not read or write. */
const STOP_GRACE_MS = 1000;

/** For the last answer to get from the server to the system. A turn of the event loop was enough in every try. */
const FLUSH_MS = 10;

/**
 * Starts the admin server on `config.host` and `config.port`.
 *
 * @throws {Deno.errors.AddrInUse} when something listens there already; other errors of `Deno.serve` likewise
 */
export function startAdminServer(options: AdminOptions): AdminServer {
  const { config, log } = options;
  let app = adminApp(options);
  const inFlight = new Set<Promise<void>>();
  const server = new LastingServer(
    {
      hostname: config.host,
      port: config.port,
      onError: (error) => refuse(error, log, {}),
    },
    async (request, info) => {
      const ended = info.completed.catch(() => {}).finally(() => inFlight.delete(ended));
      inFlight.add(ended);
      const response = await app.fetch(request, info);
      // A stop need not wait for a client that does not read its stream to the end.
      if (response.headers.get("content-type") === EVENT_STREAM) inFlight.delete(ended);
      return response;
    },
    log,
    options.doorChanged,
  );
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    // `shutdown()` would wait for a client that never sends the rest of its body, and can't be cut short once begun.
    await settledWithin(inFlight, STOP_GRACE_MS);
    // A request counts as completed when its answer is handed over: cut now, every such answer would be lost.
    await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    await server.cut();
  };
  return {
    address: server.address,
    configure: (config) => void (app = adminApp({ ...options, config })),
    stop: () => stopped ??= stop(),
  };
}

/** Every route. A resource joins with one line; the tests put each of them through every refusal. */
export function routeTable(options: AdminOptions): readonly Route[] {
  return [
    ...statusRoutes(options),
    ...backendRoutes(options),
    ...configRoutes(options),
    ...eventRoutes(options),
    ...explainRoutes(options),
    ...metricsRoutes(options),
    ...reloadRoutes(options),
    ...dashboardRoutes(),
  ];
}

/** The checks, in this order: 403, 401, 404, 405, 415, 413, 400. */
function adminApp(options: AdminOptions): Hono<AdminEnv> {
  const { token } = options.config;
  const { bodyDeadlineMs = BODY_DEADLINE_MS } = options;
  const app = new Hono<AdminEnv>();
  const tokenGuard = bearer(token);
  app.onError((error, { req }) => refuse(error, options.log, { method: req.method, path: req.path }));
  app.notFound(() => problemResponse(new AdminProblem(404, "there is no such path")));
  app.use(sameSite(token !== null));
  for (const route of routeTable(options)) {
    if (route.needsNoToken !== true) app.use(route.path, tokenGuard);
    app.all(route.path, async (context) => {
      const operation = operationOf(route, context.req.method);
      context.set("body", await readJson(context.req.raw, bodyDeadlineMs));
      context.set("query", queryOf(context.req.url, operation));
      return await operation.answer(context);
    });
  }
  // Reached by paths that no route has: whoever may not know gets 401 for those too.
  app.use(tokenGuard);
  return app;
}

/** The answer to whatever was thrown. What is no refusal is a bug: logged in full, told to nobody. */
function refuse(error: unknown, log: Log, request: { readonly method?: string; readonly path?: string }): Response {
  if (error instanceof AdminProblem) return problemResponse(error);
  const stack = error instanceof Error ? error.stack : undefined;
  log.error("admin request failed", { ...request, error: messageOf(error), stack });
  return problemResponse(new AdminProblem(500, "the admin server failed to handle this request"));
}

/** Waits until nothing is in flight any more, at most `limitMs`. */
async function settledWithin(inFlight: ReadonlySet<Promise<void>>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let expired = false;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      expired = true;
      resolve();
    }, limitMs);
  });
  while (inFlight.size > 0 && !expired) await Promise.race([Promise.all(inFlight), limit]);
  clearTimeout(timer);
}

/**
 * The schemas of the JSON that the admin API sends. The types of the views are made from them, so `openapi.json` can't
 * describe other fields than the compiler checks. Only tests read answers with them.
 */

import * as z from "zod";
import { DISCOVER_KINDS } from "../config/schema/discover.ts";
import { ENGINES } from "../config/setting.ts";
import { CERTIFICATE_KINDS, FOR_BACKENDS } from "../tls/certificate_source.ts";
import { BACKEND_STATES } from "../config/backend_change.ts";

const count = z.int().min(0);
const time = z.string().meta({ format: "date-time" });
const milliseconds = z.number().min(0);

const responses = z.object({ "2xx": count, "3xx": count, "4xx": count, "5xx": count });
const percentiles = z.object({ p50: milliseconds, p95: milliseconds, p99: milliseconds });
const unlessIdle = milliseconds.nullable();

/** A backend in `GET /status`, `GET /backends` and the responses to changes. Unknown values are `null`. */
export const backendAnswer = z.object({
  id: z.string(),
  url: z.string(),
  alive: z.boolean(),
  state: z.enum(BACKEND_STATES),
  weight: count,
  backup: z.boolean(),
  currentConnections: count,
  maxConnections: z.int().min(1).nullable(),
  totalRequests: count,
  totalFailures: count,
  /** Answers to attempts. */
  responses,
  /** What the totals above have grown by in the last minute. `perSecond`: requests, in the last ten seconds. */
  lastMinute: z.object({
    requests: count,
    failures: count,
    answers: count,
    "4xx": count,
    "5xx": count,
    perSecond: z.number().min(0),
  }),
  /** Times to the response heads of the last minute; all are `null` without traffic in that time. */
  latencyMs: z.object({ ewma: unlessIdle, p50: unlessIdle, p95: unlessIdle, p99: unlessIdle }),
  lastCheck: z.object({
    at: time,
    ok: z.boolean(),
    status: z.int().nullable(),
    durationMs: milliseconds,
    error: z.string().nullable(),
  }).nullable(),
  lastChange: z.object({ at: time, to: z.enum(["up", "down", ...BACKEND_STATES]), reason: z.string() }).nullable(),
}).meta({ title: "Backend" });

/** A pool, as `GET /status` and `GET /pools` show it. */
export const poolAnswer = z.object({
  strategy: z.string(),
  backends: z.array(backendAnswer),
  /** Where its backends come from. Without `discover` it is `static`: from the configuration file and the admin API. */
  source: z.object({
    kind: z.enum(["static", ...DISCOVER_KINDS]),
    ok: z.boolean(),
    lastSuccess: time.nullable(),
    staleSince: time.nullable(),
    error: z.string().nullable(),
  }),
}).meta({ title: "Pool" });

/** The object of `GET /pools`. */
export const poolsAnswer = z.record(z.string(), poolAnswer).meta({ title: "Pools" });

/** A change that replicas share, or that this replica alone has made. */
const entryAnswer = z.object({
  pool: z.string(),
  backend: z.string(),
  version: count,
  /** What the change says: the pool has it, with `fields`; it has other `fields` than elsewhere; the pool has it not. */
  kind: z.enum(["listed", "changed", "removed"]),
  fields: z.record(z.string(), z.unknown()).nullable(),
  state: z.enum(BACKEND_STATES).nullable(),
}).meta({ title: "SharedChange" });

const ids = z.array(z.string());

/** A backend that some replicas hold to be up and others to be down. */
export const disagreementAnswer = z.object({ pool: z.string(), backend: z.string(), up: ids, down: ids });

const storeState = {
  /** Whether the store answers and takes changes. */
  up: z.boolean(),
  lastSuccess: time.nullable(),
  error: z.string().nullable(),
};

/** The object of `GET /cluster`. */
export const clusterAnswer = z.object({
  /** Of this replica, until it ends. */
  id: z.string(),
  ...storeState,
  /** Grows with each change. */
  version: count,
  /** The oldest first. */
  changes: z.array(entryAnswer),
  /** Of this replica alone, until the store is back. */
  local: z.array(entryAnswer),
  replicas: z.array(z.object({
    id: z.string(),
    self: z.boolean(),
    version: z.string(),
    /** Where its admin API listens. */
    admin: z.string(),
    /** The version of the changes that it had. */
    changes: count,
    /** Of its last word. */
    ageMs: milliseconds,
    /** What it thinks of each backend, by pool and URL. */
    health: z.record(z.string(), z.record(z.string(), z.enum(["up", "down"]))).nullable(),
  })),
  disagreements: z.array(disagreementAnswer),
}).nullable().meta({ title: "Cluster" });

/** `cluster` in `GET /status`; `null` without one. */
export const clusterSummaryAnswer = z.object({
  ...storeState,
  replicas: count,
  changes: count,
  local: count,
  disagreements: count,
}).nullable();

/** The most certificates in `GET /status`. */
export const MOST_CERTIFICATES = 100;

/** A certificate that clients get, or that backends are shown, in `GET /status`. */
export const certificateAnswer = z.object({
  names: z.array(z.string()),
  expires: time,
  source: z.enum([...CERTIFICATE_KINDS, FOR_BACKENDS]),
  endsSoon: z.boolean(),
  /** Why there is no newer one yet. */
  error: z.string().nullable(),
});

/** The object of `GET /status`. */
export const statusAnswer = z.object({
  version: z.string(),
  startedAt: time,
  uptimeSeconds: z.number().min(0),
  strategy: z.string(),
  engine: z.enum(ENGINES),
  workers: count,
  requests: z.object({ total: count, active: count, failed: count, retried: count, queued: count }),
  /** Without routes: how many requests each guard has refused, in the order in which they are asked. */
  refused: z.record(z.string(), count).exactOptional(),
  backends: z.array(backendAnswer),
  pools: poolsAnswer,
  cluster: clusterSummaryAnswer,
  /** Those that end first. */
  certificates: z.array(certificateAnswer).max(MOST_CERTIFICATES),
}).meta({ title: "Status" });

/** One entry of a route, in `GET /routes`. */
export const routeAnswer = z.object({
  route: z.string(),
  entry: count,
  name: z.string().nullable(),
  /** As in metrics and logs. */
  label: z.string(),
  /** Where it leads. */
  to: z.string(),
  /** `null`: it is counted together with others, because there are too many. */
  requests: count.nullable(),
  failed: count.nullable(),
  responses: responses.nullable(),
  /** Of the last minute. */
  latencyMs: percentiles.nullable(),
  /** How many requests each guard of the entry has refused, in the order in which they are asked. */
  refused: z.record(z.string(), count).exactOptional(),
}).meta({ title: "Route" });

const perSecond = z.array(z.number().min(0));
const series = z.object({
  requests: perSecond,
  failed: perSecond,
  "4xx": perSecond,
  "5xx": perSecond,
  failedAttempts: perSecond,
  active: perSecond,
});

/** The object of `GET /history`. */
export const historyAnswer = z.object({
  /** The beginning of the first second. */
  from: time,
  seconds: count,
  total: series,
  /** Those with traffic in this time. */
  pools: z.record(z.string(), series),
  /** By label. Those with traffic in this time, as far as they have counts of their own. */
  routes: z.record(z.string(), series),
}).meta({ title: "History" });

const urls = z.array(z.string());

/** The object of `POST /reload`. */
export const reloadAnswer = z.object({
  added: urls,
  removed: urls,
  changed: urls,
  /** The paths of changed settings that need a restart. */
  restartNeeded: z.array(z.string()),
}).meta({ title: "ReloadReport" });

/** The object of `PUT /backends`. */
export const deploymentAnswer = z.object({ added: urls, removed: urls, kept: urls, changed: urls })
  .meta({ title: "Deployed" });

/** A refusal (RFC 9457). */
export const problemAnswer = z.object({
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  /** Of a deployment: the new backends that have not passed a check. */
  failed: z.array(z.object({ backend: z.string(), reason: z.string() })).exactOptional(),
  /** Of a change that another replica was faster with: what the backend is now; `null`: it is removed. */
  present: z.object({
    url: z.string(),
    weight: count,
    maxConnections: z.int().min(1).nullable(),
    backup: z.boolean(),
    state: z.enum(BACKEND_STATES),
  }).nullable().exactOptional(),
}).meta({ title: "Problem" });

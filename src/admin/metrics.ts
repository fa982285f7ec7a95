/** The metrics of `GET /metrics`, as families of samples. The route writes them as text. */

import { cpuUsage, memoryUsage } from "node:process";
import { BACKEND_STATES } from "../config/backend_change.ts";
import type { Backend } from "../pool/backend.ts";
import type { AnswerCounts } from "../memory/request_metrics.ts";
import type { Memory } from "../memory/memory.ts";
import type { Config } from "../config/schema.ts";
import { GUARD_NAMES, type GuardName } from "../errors.ts";
import { NO_ROUTE, OTHER_ROUTES, type RouteCounts, type RouteFigures } from "../memory/route_counts.ts";
import type { SlotUse } from "../memory/slots.ts";
import { routeLabels } from "../routing/routes.ts";
import type { AdminPool } from "./admin_pool.ts";
import { certificateFamilies } from "./certificate_metrics.ts";
import { counter, type Family, gauge, histogram, type Sample, single } from "./metric_family.ts";
import type { ClusterTarget } from "./routes/cluster.ts";
import type { ConfigSource } from "./routes/config.ts";
import type { Facts, StatusSource } from "./routes/status.ts";

/** Where the values come from. */
export interface MetricsSource
  extends ConfigSource, Pick<ClusterTarget, "cluster">, Pick<StatusSource, "certificates"> {
  /** The pools of the configuration in force. */
  readonly pools: { all(): readonly Pick<AdminPool, "pool" | "source">[] };
  /** Has the counts of the process. */
  readonly memory: Memory;
  readonly version: string;
  readonly startedAt: Date;
  readonly facts: () => Facts;
  /** How many isolates have ended and were replaced. */
  readonly workerRestarts: () => number;
}

/** The label `route` of all routes without counts of their own. A key has a slash. */
const REST = "other";

/** The label `route` of requests that no route decides about. */
const NO_KEY = "none";

/** The label `backend` of responses that roundhouse made itself. */
const NO_BACKEND = "none";

/** Classes of statuses that are shown with 0 too, so that `rate()` sees the first error. */
const USUAL_CLASSES: ReadonlySet<number> = new Set([2, 3, 4, 5]);

/** All metrics, with their present values. */
export function metricFamilies(source: MetricsSource): Family[] {
  return [
    ...answerFamilies(source),
    ...requestFamilies(source),
    ...routeFamilies(source),
    ...guardFamilies(source),
    ...backendFamilies(source),
    ...discoveryFamilies(source),
    ...clusterFamilies(source),
    ...certificateFamilies(source.certificates()),
    ...processFamilies(source),
  ];
}

/** Requests by backend: statuses, durations and bytes. */
function answerFamilies({ pools, memory: { metrics }, facts }: MetricsSource): Family[] {
  const answerers: [Sample["labels"], AnswerCounts][] = backendsOf(pools).map(([labels, backend]) => [
    labels,
    metrics.answers(backend),
  ]);
  answerers.push([{ backend: NO_BACKEND }, metrics.answers(undefined)]);
  const perAnswerer = (value: (counts: AnswerCounts) => number) =>
    answerers.map(([labels, counts]) => ({ labels, value: value(counts) }));
  const families = [
    counter(
      "roundhouse_requests_total",
      "Requests that have ended, by backend and class of status; backend none: answered by roundhouse itself.",
      answerers.flatMap(([labels, { byClass }]) => byClassSamples(labels, byClass)),
    ),
    histogram(
      "roundhouse_request_duration_seconds",
      "Time from the head of a request to the end of its response, without tunnels.",
      answerers.map(([labels, { durations }]) => [labels, durations]),
    ),
    counter(
      "roundhouse_request_body_bytes_total",
      "Bytes of request bodies.",
      perAnswerer(({ bytesIn }) => bytesIn),
    ),
  ];
  // The size of bodies that the runtime pipes itself is unknown. A counter without them would mislead.
  if (facts().engine === "fetch") return families;
  const help = "Bytes of response bodies as sent to clients.";
  return [...families, counter("roundhouse_response_body_bytes_total", help, perAnswerer(({ bytesOut }) => bytesOut))];
}

function byClassSamples(labels: Sample["labels"], byClass: readonly number[]): Sample[] {
  return byClass.flatMap((value, index) => {
    const digit = index + 1;
    return value > 0 || USUAL_CLASSES.has(digit) ? [{ labels: { ...labels, code: `${digit}xx` }, value }] : [];
  });
}

/** Each backend with the labels of its series. */
function backendsOf(pools: MetricsSource["pools"]): [Sample["labels"], Backend][] {
  return pools.all().flatMap(({ pool: { name, backends } }) =>
    backends.map((backend): [Sample["labels"], Backend] => [{ backend: backend.url, pool: name }, backend])
  );
}

/** Requests by route, if there are routes, and failures by pool. */
function routeFamilies({ pools, configInForce, memory }: MetricsSource): Family[] {
  const failures = counter(
    "roundhouse_pool_requests_failed_total",
    "Requests to a pool that roundhouse answered with 5xx itself, or had to cut.",
    pools.all().map(({ pool: { name, shared } }) => ({ labels: { pool: name }, value: shared.counts.sums().failed })),
  );
  const { routes } = configInForce();
  if (routes === null) return [failures];
  const figures = routeSeries(memory.routes, routeLabels(routes));
  return [
    failures,
    counter(
      "roundhouse_route_requests_total",
      "Requests that have ended, by route and class of status.",
      figures.flatMap(([labels, { byClass }]) => byClassSamples(labels, byClass)),
    ),
    histogram(
      "roundhouse_route_duration_seconds",
      "Time from the head of a request to the end of its response by route, without tunnels.",
      figures.map(([labels, { durations }]) => [labels, durations]),
    ),
  ];
}

/** One series for each label that has counts of its own, and one for all others if there are any. */
function routeSeries(counts: RouteCounts, labels: readonly string[]): [Sample["labels"], RouteFigures][] {
  const places = counts.find(labels);
  const own = new Map(labels.flatMap((label, index) => {
    const place = places[index];
    return place === undefined || place === OTHER_ROUTES ? [] : [[label, place]];
  }));
  const series = Array.from(
    own,
    ([route, place]): [Sample["labels"], RouteFigures] => [{ route }, counts.figures(place)],
  );
  if (places.includes(OTHER_ROUTES)) series.push([{ route: REST }, counts.figures(OTHER_ROUTES)]);
  return series;
}

/** Requests that guards have refused, or have found over a limit. */
function guardFamilies({ configInForce, memory: { routes: counts } }: MetricsSource): Family[] {
  const config = configInForce();
  const labels = routeLabels(config.routes);
  const places = new Map<string, SlotUse>([[NO_KEY, NO_ROUTE]]);
  counts.find(labels).forEach((place, index) => places.set(place === OTHER_ROUTES ? REST : labels[index] ?? "", place));
  const guarded = guardedRoutes(config);
  const refused = counter(
    "roundhouse_refused_total",
    "Requests that a guard has refused, by route; route none: no route decides about them.",
    Array.from(places).flatMap(([route, place]) =>
      GUARD_NAMES.map((guard) => ({ labels: { route, guard }, value: counts.refused(place, guard) }))
    ).filter(({ labels: { route, guard }, value }) => value > 0 || guarded(route, guard)),
  );
  const over = counter(
    "roundhouse_rate_limit_exceeded_total",
    "Requests over a rate limit by route, refused or not.",
    Array.from(places, ([route, place]) => ({ labels: { route }, value: counts.overLimit(place) }))
      .filter(({ labels: { route }, value }) => value > 0 || guarded(route, "rateLimit")),
  );
  return [refused, over];
}

/** Tells which guards a route has. Their series are there from the start, so that `rate()` sees the first refusal. */
function guardedRoutes(config: Config): (route: string, guard: GuardName) => boolean {
  const entries = Object.values(config.routes ?? {}).flat();
  const byLabel = new Map(routeLabels(config.routes).map((label, index) => [label, entries[index]]));
  return (route, guard) => {
    const own = byLabel.get(route)?.[guard];
    return (route === NO_KEY || byLabel.has(route)) && (own === undefined ? config[guard] : own) !== null;
  };
}

/** Totals of requests, errors, retries, queue and sessions. */
function requestFamilies({ memory }: MetricsSource): Family[] {
  const totals = memory.requestTotals();
  const counts = memory.metrics.processCounts();
  return [
    single("counter", "roundhouse_requests_received_total", "Requests that reached the proxy.", totals.total),
    single(
      "counter",
      "roundhouse_requests_failed_total",
      "Requests that roundhouse answered with 5xx itself, or had to cut.",
      totals.failed,
    ),
    single("gauge", "roundhouse_requests_in_flight", "Requests that have not ended.", totals.active),
    counter(
      "roundhouse_errors_total",
      "Requests that ended with an error, by reason.",
      Array.from(counts.errors, ([reason, value]) => ({ labels: { reason }, value })),
    ),
    counter(
      "roundhouse_retries_total",
      "Attempts after the first of a request, by the error of the attempt before.",
      Array.from(counts.retries, ([reason, value]) => ({ labels: { reason }, value })).filter(isTold),
    ),
    counter(
      "roundhouse_mirror_total",
      "Requests that were to be mirrored, by what came of that.",
      Array.from(counts.mirrored, ([result, value]) => ({ labels: { result }, value })),
    ),
    single("gauge", "roundhouse_queue_length", "Requests that wait in the queue.", totals.queued),
    histogram(
      "roundhouse_queue_wait_seconds",
      "Time that requests waited in the queue.",
      [[{}, counts.queueWaits]],
    ),
    counter(
      "roundhouse_sticky_requests_total",
      "Requests of clients with a session: its backend answered (hit) or another one (miss).",
      [
        { labels: { result: "hit" }, value: counts.stickyHits },
        { labels: { result: "miss" }, value: counts.stickyMisses },
      ],
    ),
  ];
}

/** Whether a reason is shown: those that are retried are shown from the start, others only if they were counted. */
function isTold({ labels: { reason }, value }: Sample): boolean {
  return value > 0 || ["connect_failed", "connection_lost", "response_timeout", "status"].includes(String(reason));
}

/** What `GET /status` shows of each backend, in numbers. */
function backendFamilies({ pools }: MetricsSource): Family[] {
  const backends = backendsOf(pools);
  const each = (value: (backend: Backend) => number | null): Sample[] =>
    backends.flatMap(([labels, backend]) => {
      const shown = value(backend);
      return shown === null ? [] : [{ labels, value: shown }];
    });
  return [
    ...backendCounters(backends),
    gauge(named("up"), "Whether checks and requests show the backend to be healthy.", each(({ alive }) => +alive)),
    gauge(
      named("state"),
      "1 for the state that the operator has asked for.",
      backends.flatMap(([labels, { state: now }]) =>
        BACKEND_STATES.map((state) => ({ labels: { ...labels, state }, value: +(state === now) }))
      ),
    ),
    gauge(named("weight"), "Weight as configured.", each(({ weight }) => weight)),
    gauge(named("current_connections"), "Requests in flight at the backend.", each((it) => it.currentConnections)),
    gauge(
      named("max_connections"),
      "The limit of requests in flight, if there is one.",
      each((it) => it.maxConnections),
    ),
    gauge(
      named("latency_seconds"),
      "Recent time until the head of the response; a slow response raises it at once.",
      each(({ latencyMs }) => latencyMs === null ? null : latencyMs / 1000),
    ),
    gauge(
      named("last_check_duration_seconds"),
      "How long the last health check took.",
      each(({ lastCheck }) => lastCheck === null ? null : lastCheck.durationMs / 1000),
    ),
  ];
}

/** What has happened at each backend so far. */
function backendCounters(backends: readonly [Sample["labels"], Backend][]): Family[] {
  const each = (value: (backend: Backend) => number): Sample[] =>
    backends.map(([labels, backend]) => ({ labels, value: value(backend) }));
  return [
    counter(named("attempts_total"), "Requests sent to the backend, retries included.", each((it) => it.totalRequests)),
    counter(named("failures_total"), "Attempts that failed because of the backend.", each((it) => it.totalFailures)),
    counter(
      named("responses_total"),
      "Answers to attempts, by class of status.",
      backends.flatMap(([labels, { responses }]) =>
        Object.entries(responses).map(([code, value]) => ({ labels: { ...labels, code }, value }))
      ),
    ),
    counter(
      named("health_checks_total"),
      "Health checks, by result.",
      backends.flatMap(([labels, { checks }]) =>
        Object.entries(checks).map(([result, value]) => ({ labels: { ...labels, result }, value }))
      ),
    ),
  ];
}

function named(name: string): string {
  return `roundhouse_backend_${name}`;
}

/** Sources of backends, if there are any. */
function discoveryFamilies({ pools }: MetricsSource): Family[] {
  const values = pools.all().flatMap(({ pool: { name }, source }) =>
    source === undefined ? [] : [{ labels: { pool: name }, value: source.ok ? 1 : 0 }]
  );
  if (values.length === 0) return [];
  return [
    gauge("roundhouse_discovery_up", "1: the last answer of the source of a pool's backends could be used.", values),
  ];
}

/** The other replicas, if there are any. */
function clusterFamilies({ cluster }: MetricsSource): Family[] {
  if (cluster === undefined) return [];
  const { up, replicas, entries } = cluster.status();
  return [
    single("gauge", "roundhouse_cluster_up", "1: the store of the replicas answers and takes changes.", up ? 1 : 0),
    single("gauge", "roundhouse_cluster_replicas", "Replicas that were heard of, this one included.", replicas.length),
    single("gauge", "roundhouse_cluster_changes", "Changes of backends that the replicas share.", entries.length),
  ];
}

/** The process, with the names that the client libraries of Prometheus use. */
function processFamilies({ version, facts, startedAt, workerRestarts }: MetricsSource): Family[] {
  const { engine, strategy, workers } = facts();
  const { user, system } = cpuUsage();
  const { rss, heapUsed } = memoryUsage();
  return [
    gauge("roundhouse_build_info", "Always 1; the labels say what runs.", [
      { labels: { version, engine, strategy }, value: 1 },
    ]),
    single("gauge", "roundhouse_workers", "Isolates that serve the port.", workers),
    single("counter", "roundhouse_worker_restarts_total", "Isolates that ended and were replaced.", workerRestarts()),
    single("counter", "process_cpu_seconds_total", "User and system CPU time.", (user + system) / 1e6),
    single("gauge", "process_resident_memory_bytes", "Resident memory.", rss),
    single("gauge", "process_heap_bytes", "JavaScript heap in use by the main isolate.", heapUsed),
    single("gauge", "process_start_time_seconds", "Start, since the Unix epoch.", startedAt.getTime() / 1000),
  ];
}

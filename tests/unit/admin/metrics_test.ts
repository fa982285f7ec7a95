import { assertEquals, assertThrows } from "@std/assert";
import { certificateState } from "../../support/status.ts";
import { metricFamilies, type MetricsSource } from "../../../src/admin/metrics.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import type { Facts } from "../../../src/admin/routes/status.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { ROUTES } from "../../../src/memory/slots.ts";
import { backendSpec } from "../../support/pool.ts";
import { Scrape } from "../../support/prometheus.ts";

const A = "http://a";
/** The labels of its series. */
const A_SHOWN = `${A} default`;

function sourceOf(
  { engine = "wire", routes }: { engine?: Facts["engine"]; routes?: ConfigFile["routes"] } = {},
): MetricsSource & { readonly pool: ServerPool } {
  const memory = Memory.allocate();
  const pool = new ServerPool(memory.pool(0));
  const facts = () => ({ strategy: "round-robin", engine, workers: 2 });
  const config = configSchema.parse({ routes });
  const shown = {
    cluster: undefined,
    certificates: () => [],
    pools: { all: () => [{ pool, source: undefined }] },
    configInForce: () => config,
  };
  const source = { ...shown, pool, memory, version: "1", startedAt: new Date(0), facts };
  pool.add(backendSpec(A), "");
  return { ...source, workerRestarts: () => 7 };
}

/** The samples of a family: its labels' values joined, and the value. */
function samples(source: MetricsSource, name: string): [string, number][] | undefined {
  const family = metricFamilies(source).find((family) => family.name === name);
  return family?.values.map(({ labels, value }) => [Object.values(labels).join(" "), value]);
}

Deno.test("metricFamilies() shows who answered how, in classes, with the usual ones from the start", () => {
  const source = sourceOf();
  const [backend] = source.pool.backends;
  const count = { durationMs: 2000, bytesIn: 3, bytesOut: 5 };
  source.memory.metrics.countRequest({ ...count, backend, status: 101 });
  source.memory.metrics.countRequest({ ...count, backend, status: 204 });
  source.memory.metrics.countRequest({ ...count, backend: undefined, status: 503 });
  assertEquals(samples(source, "roundhouse_requests_total"), [
    ...[[`${A_SHOWN} 1xx`, 1], [`${A_SHOWN} 2xx`, 1], [`${A_SHOWN} 3xx`, 0], [`${A_SHOWN} 4xx`, 0], [
      `${A_SHOWN} 5xx`,
      0,
    ]],
    ...[["none 2xx", 0], ["none 3xx", 0], ["none 4xx", 0], ["none 5xx", 1]],
  ] as [string, number][]);
  const durations = samples(source, "roundhouse_request_duration_seconds") ?? [];
  const [below, within, sum, counted] = [`${A_SHOWN} 1`, `${A_SHOWN} 2.5`].map((name) =>
    durations.find(([at]) => at === name)
  )
    .concat(durations.slice(16, 18));
  assertEquals([below?.[1], within?.[1], sum, counted], [0, 1, [A_SHOWN, 2], [A_SHOWN, 1]]);
  assertEquals(samples(source, "roundhouse_request_body_bytes_total"), [[A_SHOWN, 6], ["none", 3]]);
  assertEquals(samples(source, "roundhouse_response_body_bytes_total"), [[A_SHOWN, 10], ["none", 5]]);
  // Under `fetch` most bodies are not counted.
  assertEquals(samples(sourceOf({ engine: "fetch" }), "roundhouse_response_body_bytes_total"), undefined);
});

Deno.test("metricFamilies() shows each backend as GET /status does", () => {
  const source = sourceOf();
  const { pool } = source;
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("no backend");
  const one = (name: string) => samples(source, `roundhouse_backend_${name}`);
  assertEquals([one("up"), one("max_connections"), one("latency_seconds")], [[[A_SHOWN, 1]], [], []]);
  pool.setUp(backend, false, "");
  pool.update(backend, { weight: 5, maxConnections: 9, state: "draining" }, "");
  const lease = backend.lease();
  backend.answered(200, 250);
  backend.countFailure();
  backend.checks.failed += 3;
  backend.lastCheck = { at: "", ok: false, status: null, durationMs: 4, error: "" };
  const states = [[`${A_SHOWN} active`, 0], [`${A_SHOWN} draining`, 1], [`${A_SHOWN} disabled`, 0]] as [
    string,
    number,
  ][];
  assertEquals([one("up"), one("state"), one("weight")], [[[A_SHOWN, 0]], states, [[A_SHOWN, 5]]]);
  assertEquals([one("current_connections"), one("max_connections")], [[[A_SHOWN, 1]], [[A_SHOWN, 9]]]);
  assertEquals([one("attempts_total"), one("failures_total")], [[[A_SHOWN, 1]], [[A_SHOWN, 1]]]);
  assertEquals([one("latency_seconds"), one("last_check_duration_seconds")], [[[A_SHOWN, 0.25]], [[A_SHOWN, 0.004]]]);
  assertEquals(one("health_checks_total"), [[`${A_SHOWN} passed`, 0], [`${A_SHOWN} failed`, 3]]);
  const responses = [[`${A_SHOWN} 2xx`, 1], [`${A_SHOWN} 3xx`, 0], [`${A_SHOWN} 4xx`, 0], [`${A_SHOWN} 5xx`, 0]];
  assertEquals(one("responses_total"), responses as [string, number][]);
  lease?.release();
});

Deno.test("metricFamilies() shows what went wrong, was retried, waited and stuck, and the process", () => {
  const source = sourceOf();
  const { memory: { metrics }, pool: { shared } } = source;
  shared.memory.requests.started();
  shared.line.join(1);
  shared.memory.requests.countFailed();
  metrics.countRetry("status");
  metrics.countError("queue_full");
  metrics.countSticky(true);
  metrics.countWait(100);
  const value = (name: string) => samples(source, `roundhouse_${name}`);
  const told = (name: string) => value(name)?.filter(([, value]) => value > 0);
  assertEquals([value("requests_received_total"), value("requests_failed_total")], [[["", 1]], [["", 1]]]);
  assertEquals([value("requests_in_flight"), value("queue_length")], [[["", 1]], [["", 1]]]);
  assertEquals([told("errors_total"), told("retries_total")], [[["queue_full", 1]], [["status", 1]]]);
  assertEquals(value("retries_total")?.length, 4);
  assertEquals(value("sticky_requests_total"), [["hit", 1], ["miss", 0]]);
  assertEquals(value("queue_wait_seconds")?.slice(-2), [["", 0.1], ["", 1]]);
  assertEquals([value("workers"), value("worker_restarts_total")], [[["", 2]], [["", 7]]]);
  assertEquals(value("build_info"), [["1 wire round-robin", 1]]);
  assertEquals(samples(source, "process_start_time_seconds"), [["", 0]]);
});

Deno.test("metricFamilies() shows each route that has a place of its own, and the others together", () => {
  assertEquals(samples(sourceOf(), "roundhouse_route_requests_total"), undefined, "without routes");
  const keys = Array.from({ length: ROUTES + 1 }, (_, index) => `h${index}/*`);
  const routes = Object.fromEntries(keys.map((key) => [key, "default"]));
  const source = sourceOf({ routes });
  const { memory, pool } = source;
  memory.routes.assign(keys);
  const places = memory.routes.find(keys);
  const count = { failed: false, durationMs: 2000 };
  for (const place of [places[0], places[0], places[ROUTES]]) {
    if (place !== undefined) memory.routes.count(place, { ...count, status: place === places[0] ? 404 : 200 });
  }
  const requests = samples(source, "roundhouse_route_requests_total")?.filter(([, value]) => value > 0);
  assertEquals(requests, [["h0/* 4xx", 2], ["other 2xx", 1]]);
  const durations = samples(source, "roundhouse_route_duration_seconds")?.filter(([, value]) => value > 0);
  assertEquals(durations?.slice(0, 2), [["h0/* 2.5", 2], ["h0/* 5", 2]]);
  pool.shared.counts.count(503, true);
  assertEquals(samples(source, "roundhouse_pool_requests_failed_total"), [["default", 1]]);
});

Deno.test("the tests' own reader of the text format refuses what Prometheus would, or would frown at", () => {
  const counter = "# HELP a_total x\n# TYPE a_total counter\n";
  const histogram = "# HELP h x\n# TYPE h histogram\n";
  new Scrape(`${counter}a_total{l="q\\"\\\\\\n"} 1e+21\n`);
  new Scrape(`${histogram}h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3.5\nh_count 2\n`);
  for (
    const [text, why] of [
      [`${counter}a_total 1`, "no line break"],
      [`a_total 1\n`, "another family"],
      [`${counter}b_total 1\n`, "another family"],
      [`${counter}a_total  1\n`, "no sample"],
      [`${counter}a_total{l="a"b"} 1\n`, "no sample"],
      [`${counter}a_total{l="a",l="b"} 1\n`, "no sample"],
      [`${counter}a_total 1\n${counter}a_total 2\n`, "a second time"],
      [`${counter}a_total 1\na_total 1\n`, "twice"],
      [`${counter}a_total -1\n`, "negative"],
      [`# TYPE a gauge\na 1\n`, "help and type"],
      [`# HELP a x\n# TYPE a counter\na 1\n`, "without _total"],
      [`${histogram}h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n`, "rise"],
      [`${histogram}h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n`, "cumulative"],
      [`${histogram}h_bucket{le="1"} 1\nh_sum 3\nh_count 1\n`, "not whole"],
      [`${histogram}h_bucket{le="+Inf"} 1\nh_sum 3\nh_count 2\n`, "not the count"],
    ] as const
  ) {
    assertThrows(() => new Scrape(text), Error, why);
  }
});

Deno.test("metricFamilies() shows when each certificate ends, and of two with the same name the one that ends first", () => {
  const states = [
    certificateState("b.example", { expires: new Date(1000) }),
    certificateState("a.example", { names: ["a.example", "more.example"], expires: new Date(2000) }),
    certificateState("b.example", { expires: new Date(3000) }),
  ];
  const expiry = "roundhouse_certificate_expiry_seconds";
  assertEquals(samples({ ...sourceOf(), certificates: () => states }, expiry), [["b.example", 1], ["a.example", 2]]);
  assertEquals(samples(sourceOf(), expiry), undefined);
});

// A name that never got a certificate has a self-signed one meanwhile, whose end is far away.
Deno.test("metricFamilies() shows the sources of certificates that fail", () => {
  const failing = { source: "acme", error: "a.example: refused" } as const;
  const states = [certificateState("b.example"), certificateState("a.example", failing), certificateState("c.example")];
  const failed = "roundhouse_certificate_failed";
  assertEquals(samples({ ...sourceOf(), certificates: () => states }, failed), [["files", 0], ["acme", 1]]);
  assertEquals(samples(sourceOf(), failed), undefined);
});

import { assertEquals, assertThrows } from "@std/assert";
import { metricFamilies, type MetricsSource } from "../../../src/admin/metrics.ts";
import type { Facts } from "../../../src/admin/routes/status.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { backendSpec } from "../../support/pool.ts";
import { Scrape } from "../../support/prometheus.ts";

const A = "http://a";

function sourceOf(engine: Facts["engine"] = "wire"): MetricsSource {
  const memory = Memory.allocate();
  const pool = new ServerPool(memory.pool(0));
  const facts = () => ({ strategy: "round-robin", engine, workers: 2 });
  const source = { pool, memory, version: "1", startedAt: new Date(0), facts };
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
    ...[["http://a 1xx", 1], ["http://a 2xx", 1], ["http://a 3xx", 0], ["http://a 4xx", 0], ["http://a 5xx", 0]],
    ...[["none 2xx", 0], ["none 3xx", 0], ["none 4xx", 0], ["none 5xx", 1]],
  ] as [string, number][]);
  const durations = samples(source, "roundhouse_request_duration_seconds") ?? [];
  const [below, within, sum, counted] = ["http://a 1", "http://a 2.5"].map((name) =>
    durations.find(([at]) => at === name)
  )
    .concat(durations.slice(16, 18));
  assertEquals([below?.[1], within?.[1], sum, counted], [0, 1, [A, 2], [A, 1]]);
  assertEquals(samples(source, "roundhouse_request_body_bytes_total"), [[A, 6], ["none", 3]]);
  assertEquals(samples(source, "roundhouse_response_body_bytes_total"), [[A, 10], ["none", 5]]);
  // Under `fetch` most bodies are not counted.
  assertEquals(samples(sourceOf("fetch"), "roundhouse_response_body_bytes_total"), undefined);
});

Deno.test("metricFamilies() shows each backend as GET /status does", () => {
  const source = sourceOf();
  const { pool } = source;
  const [backend] = pool.backends;
  if (backend === undefined) throw new Error("no backend");
  const one = (name: string) => samples(source, `roundhouse_backend_${name}`);
  assertEquals([one("up"), one("max_connections"), one("latency_seconds")], [[[A, 1]], [], []]);
  pool.setUp(backend, false, "");
  pool.update(backend, { weight: 5, maxConnections: 9, state: "draining" }, "");
  const lease = backend.lease();
  backend.answered(200, 250);
  backend.countFailure();
  backend.checks.failed += 3;
  backend.lastCheck = { at: "", ok: false, status: null, durationMs: 4, error: "" };
  const states = [["http://a active", 0], ["http://a draining", 1], ["http://a disabled", 0]] as [string, number][];
  assertEquals([one("up"), one("state"), one("weight")], [[[A, 0]], states, [[A, 5]]]);
  assertEquals([one("current_connections"), one("max_connections")], [[[A, 1]], [[A, 9]]]);
  assertEquals([one("attempts_total"), one("failures_total")], [[[A, 1]], [[A, 1]]]);
  assertEquals([one("latency_seconds"), one("last_check_duration_seconds")], [[[A, 0.25]], [[A, 0.004]]]);
  assertEquals(one("health_checks_total"), [["http://a passed", 0], ["http://a failed", 3]]);
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

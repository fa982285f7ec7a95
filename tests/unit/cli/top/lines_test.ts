// What `roundhouse top` puts on the screen and into a pipe.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { History } from "../../../../src/admin/dashboard/history.js";
import type { BackendStatus, RouteStatus } from "../../../../src/admin/dashboard/status.d.ts";
import type { Line } from "../../../../src/cli/top/layout.ts";
import { frame } from "../../../../src/cli/top/screen.ts";
import { screen } from "../../../../src/cli/top/lines.ts";
import { PLAIN_TITLES, plainLines } from "../../../../src/cli/top/plain.ts";
import { RouteRates } from "../../../../src/cli/top/routes.ts";
import type { View } from "../../../../src/cli/top/view.ts";
import { backendStatus, poolStatus, status } from "../../../support/status.ts";

const AT = "2026-01-01T00:00:30.000Z";
const DOWN: Partial<BackendStatus> = {
  alive: false,
  lastChange: { at: AT, to: "down", reason: "check failed: refused" },
};

/** Looks a second apart; between them each backend takes `perSecond` requests. */
function view(backends: readonly BackendStatus[], perSecond = 0): View {
  const history = new History();
  const busy = backends.map((backend) => ({ ...backend, totalRequests: backend.totalRequests + perSecond }));
  history.add(status(59, backends));
  const latest = status(60, busy, { requests: { total: perSecond * backends.length, active: 2 } });
  history.add(latest);
  return { status: latest, history, routes: [], now: Date.parse("2026-01-01T00:01:00.000Z") };
}

/** A terminal with room for all columns. */
const WIDE = { rows: 40, columns: 160 };

function texts(lines: readonly Line[]): string[] {
  return lines.map((line) => line.map(({ text }) => text).join(""));
}

Deno.test("screen() tells the whole, who is down and why, and a line for each backend in columns", () => {
  const a = backendStatus("a", {
    weight: 2,
    maxConnections: 100,
    currentConnections: 1,
    responses: { "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 7 },
    latencyMs: { ewma: 99, p50: 1.23, p95: 20, p99: 30 },
  });
  assertEquals(texts(screen(view([a, backendStatus("b", DOWN)], 3), WIDE)), [
    "roundhouse 1.2.3  round-robin, engine fetch, 1 worker, up for 1 min",
    "6.0 requests/s  2 in flight  0 queued  6 requests  0 failed  0 retried",
    "",
    "1 of 2 backends is down",
    "  http://b  check failed: refused, 30 s ago",
    "",
    "BACKEND   HEALTH  REQ/S  5XX  FAILURES     P50    P95  CONNS  SHARE  REQUESTS  WEIGHT  WHY",
    "http://a  up        3.0    7         0  1.2 ms  20 ms  1/100   50 %         3       2  ",
    "http://b  down      3.0    0         0       –      –      0   50 %         3       1  check failed: refused, 30 s ago",
  ]);
});

// The total was of the last second and the rows of the last ten, so that they differed by as much as traffic changes.
Deno.test("screen() has a total of requests a second that is the sum of the rows", () => {
  const history = new History();
  let latest = status(0, []);
  for (const [second, total] of [0, 100, 200, 210].entries()) {
    const backends = ["a", "b"].map((id) => backendStatus(id, { totalRequests: total / 2 }));
    history.add(latest = status(60 + second, backends, { requests: { total } }));
  }
  const lines = texts(screen({ status: latest, history, routes: [], now: 0 }, WIDE));
  assertMatch(lines[1] ?? "", /^70 requests\/s/);
  assertEquals(lines.slice(-2).map((line) => /up +(\S+) /.exec(line)?.[1]), ["35", "35"]);
});

// At 80 columns the last ones were cut, and with them the failures.
Deno.test("screen() keeps health, rate, 5xx, failures and latency at 80 columns, and at less", () => {
  const backends = ["one", "two"].map((id) =>
    backendStatus(id, { ...DOWN, url: `http://${id}.service.internal.example:9001`, maxConnections: 1000 })
  );
  for (const columns of [80, 60]) {
    const lines = texts(screen(view(backends, 3), { rows: 40, columns })).slice(-3);
    for (const line of lines) assert(line.trimEnd().length <= columns, `${line.length}: ${line}`);
    for (const title of ["BACKEND", "HEALTH", "REQ/S", "5XX", "FAILURES", "P95"]) {
      assert(lines[0]?.includes(title), `${title} in ${lines[0]}`);
    }
    assertMatch(lines[1] ?? "", /:9001 +down/); // the end of a URL tells backends apart
  }
  assert(!texts(screen(view(backends), { rows: 40, columns: 80 })).at(-3)?.includes("WEIGHT"));
});

// "All 3 backends are up" stayed on the screen while the server was gone.
Deno.test("screen() says that the server is gone in place of the last verdict", () => {
  const lost = screen({ ...view([backendStatus("a")], 3), lost: "http://x: Connection refused" }, WIDE);
  const shown = texts(lost);
  assertEquals(shown.slice(3, 5), ["Not connected. Trying again…", "  http://x: Connection refused"]);
  assert(!shown.some((line) => line.includes("takes traffic")), shown.join("\n"));
  assertMatch(shown[1] ?? "", /^– requests\/s/);
  assert(lost.at(-1)?.every(({ style }) => style === "faint"));
});

Deno.test("screen() never has more lines than the terminal, and counts what is left out", () => {
  const many = Array.from({ length: 50 }, (_, index) => backendStatus(`b${index}`));
  const lines = texts(screen(view(many), { ...WIDE, rows: 20 }));
  assert(lines.length <= 20, `${lines.length} lines`);
  assertMatch(lines.at(-1) ?? "", /^… and \d+ more backends$/);
  const shown = lines.filter((line) => line.startsWith("http://")).length;
  assertEquals(lines.at(-1), `… and ${50 - shown} more backends`);
});

// On a terminal with room for ten of fifty backends, the one that was down was among the forty.
Deno.test("screen() shows what fails first, where not all has room", () => {
  const many = (id: string, count: number, differs: Partial<BackendStatus> = {}) =>
    Array.from({ length: count }, (_, index) => backendStatus(`${id}${index}`, differs));
  const bad = backendStatus("bad", DOWN);
  const errors = { requests: 9, failures: 0, answers: 9, "4xx": 0, "5xx": 9, perSecond: 1 };
  const failing = backendStatus("failing", { lastMinute: errors });
  const shown = (view: View) => {
    const lines = texts(screen(view, { ...WIDE, rows: 20 }));
    assert(lines.length <= 20, `${lines.length} lines`);
    return { lines, rows: lines.slice(lines.findIndex((line) => line.startsWith("BACKEND")) + 1) };
  };
  const { rows: one } = shown(view([...many("a", 40), failing, bad]));
  assertEquals(one.slice(0, 3).map((line) => line.split(" ")[0]), ["http://bad", "http://failing", "http://a0"]);

  const pools = { default: poolStatus([]), api: poolStatus(many("b", 40)), web: poolStatus([...many("c", 40), bad]) };
  const latest = status(60, [], { pools });
  const history = new History();
  history.add(latest);
  const routes = new RouteRates().add(0, [...Array(40).fill(BETA), { ...BETA, name: "broken", failed: 3 }]);
  const { lines, rows } = shown({ status: latest, history, routes, now: 0 });
  assertMatch(rows[0] ?? "", /^web /);
  assertMatch(rows[1] ?? "", /^http:\/\/bad +down /);
  const first = lines.findIndex((line) => line.startsWith("ROUTE")) + 1;
  assertMatch(lines[first] ?? "", /^\*\/api\/\* broken /);
});

Deno.test("frame() cuts lines at the width by what is seen of them, with colours and without", () => {
  const lines: Line[] = [[{ text: "abcdef", style: "bad" }, { text: "ghi" }]];
  assertEquals(frame(lines, 8, false), "\x1b[Habcdefgh\x1b[K\x1b[J");
  assertEquals(frame(lines, 8, true), "\x1b[H\x1b[31mabcdef\x1b[0mgh\x1b[K\x1b[J");
  assertEquals(frame(lines, 6, true), "\x1b[H\x1b[31mabcdef\x1b[0m\x1b[K\x1b[J");
});

Deno.test("plainLines() has one line a backend with as many fields as titles, and one for an empty pool", () => {
  const a = backendStatus("a", { latencyMs: { ewma: 9, p50: 1.26, p95: 2, p99: 3 } });
  const lines = plainLines(view([a, backendStatus("b", DOWN)], 1));
  assertEquals(lines, [
    "2026-01-01T00:01:00Z\tdefault\thttp://a\tup\tactive\t0.5\t1\t0\t1.3\t2\t1\t0\t0\t1\t-",
    "2026-01-01T00:01:00Z\tdefault\thttp://b\tdown\tactive\t0.5\t1\t0\t-\t-\t1\t0\t0\t1\tcheck failed: refused, 30 s ago",
  ]);
  const fields = PLAIN_TITLES.split("\t").length;
  for (const line of [...lines, ...plainLines(view([]))]) assertEquals(line.split("\t").length, fields);
});

/** Looks a second apart at two pools and a default pool without a backend; each backend takes 4 requests. */
function poolsView(api: readonly BackendStatus[]): View {
  const history = new History();
  let latest = status(0, []);
  for (const [second, totalRequests] of [0, 4].entries()) {
    const pools = {
      default: poolStatus([]),
      api: poolStatus(api.map((backend) => ({ ...backend, totalRequests }))),
      assets: poolStatus([backendStatus("c", { totalRequests })]),
    };
    latest = status(59 + second, [], { pools, requests: { total: totalRequests * (api.length + 1) } });
    history.add(latest);
  }
  return { status: latest, history, routes: [], now: Date.parse("2026-01-01T00:01:00.000Z") };
}

const BETA: RouteStatus = {
  route: "*/api/*",
  entry: 0,
  name: "beta",
  label: "*/api/* beta",
  to: "api",
  requests: 10,
  failed: 0,
  responses: { "2xx": 10, "3xx": 0, "4xx": 0, "5xx": 0 },
  latencyMs: { p50: 1, p95: 2, p99: 3 },
};
const ROUTES: readonly RouteStatus[] = [
  BETA,
  { ...BETA, entry: 1, name: null, to: "api 95, assets 5", requests: 0, failed: 1, latencyMs: null },
  { ...BETA, route: "*/*", name: null, to: "assets", requests: null, failed: null, latencyMs: null },
];

Deno.test("screen() has the backends in groups by pool, with shares of the pool's traffic, and the routes", () => {
  const view = poolsView([backendStatus("a"), backendStatus("b")]);
  const rates = new RouteRates();
  rates.add(59, ROUTES);
  const routes = rates.add(60, ROUTES.map((route) => ({ ...route, requests: route.requests && route.requests + 5 })));
  assertEquals(texts(screen({ ...view, routes }, WIDE)), [
    "roundhouse 1.2.3  2 pools, engine fetch, 1 worker, up for 1 min",
    "12 requests/s  0 in flight  0 queued  12 requests  0 failed  0 retried",
    "",
    "All 3 backends of 2 pools are up and take traffic",
    "",
    "BACKEND   HEALTH  REQ/S  5XX  FAILURES  P50  P95  CONNS  SHARE  REQUESTS  WEIGHT  WHY",
    "api  round-robin, 2 of 2 up",
    "http://a  up        4.0    0         0    –    –      0   50 %         4       1  ",
    "http://b  up        4.0    0         0    –    –      0   50 %         4       1  ",
    "assets  round-robin, 1 of 1 up",
    "http://c  up        4.0    0         0    –    –      0  100 %         4       1  ",
    "",
    "ROUTE         TO                REQ/S  FAILED     P50     P95  REQUESTS",
    "*/api/* beta  api                 5.0       0  1.0 ms  2.0 ms        15",
    "*/api/* #1    api 95, assets 5      0       1       –       –         0",
    "*/*           assets                –       –       –       –         –",
  ]);
});

Deno.test("screen() says which pool is in trouble", () => {
  const lines = texts(screen(poolsView([backendStatus("a", DOWN), backendStatus("b")]), WIDE));
  assertEquals(lines.slice(3, 5), ["1 of 3 backends is down", "  http://a  pool api: check failed: refused, 30 s ago"]);
  assertMatch(plainLines(poolsView([backendStatus("a", DOWN)]))[0] ?? "", /Z\tapi\thttp:\/\/a\tdown\t/);
});

Deno.test("screen() keeps some routes where backends are many, and never has more lines than the terminal", () => {
  const routes = new RouteRates().add(0, Array.from({ length: 30 }, (_, entry) => ({ ...BETA, entry })));
  const view = { ...poolsView(Array.from({ length: 30 }, (_, index) => backendStatus(`b${index}`))), routes };
  const lines = texts(screen(view, { rows: 24, columns: 80 }));
  assert(lines.length <= 24, `${lines.length} lines`);
  assertEquals(lines.filter((line) => line.startsWith("… and ")).length, 2);
  assert(lines.filter((line) => line.startsWith("*/api/*")).length >= 2, lines.join("\n"));
});

Deno.test("RouteRates: a restart and a new entry have no rate at first", () => {
  const rates = new RouteRates();
  rates.add(10, [BETA]);
  assertEquals(rates.add(12, [{ ...BETA, requests: 30 }]).map(({ perSecond }) => perSecond), [10]);
  const added = rates.add(14, [{ ...BETA, requests: 30 }, { ...BETA, entry: 1 }]);
  assertEquals(added.map(({ perSecond, isOneOfMany }) => [perSecond, isOneOfMany]), [[5, true], [null, true]]);
  assertEquals(rates.add(15, [{ ...BETA, requests: 1 }]).map(({ perSecond }) => perSecond), [null]);
});

Deno.test("what a backend has said can't move the cursor, break a line or add a field", () => {
  const reason = "check failed: \x1b[2J\u009b1m\r\n\tgotcha";
  const evil = backendStatus("a", { alive: false, lastChange: { at: AT, to: "down", reason } });
  const all = [...texts(screen(view([evil]), WIDE)), ...plainLines(view([evil])).flatMap((line) => line.split("\t"))];
  assertEquals(all.filter((text) => /\p{Cc}/u.test(text)), []);
  assert(all.some((text) => text.includes("check failed: ?[2J?1m???gotcha")));
});

Deno.test("screen() marks the replicas, a store that is away, and a list that is old", () => {
  const at = "2026-01-01T00:00:00.000Z";
  const cluster = { up: true, lastSuccess: at, error: null, replicas: 3, changes: 0, local: 0, disagreements: 0 };
  const source = { kind: "file", ok: false, lastSuccess: at, staleSince: at, error: "no such file" } as const;
  const a = backendStatus("a");
  const pools = { default: poolStatus([a]), api: { ...poolStatus([a]), source } };
  const shown = (differs: Partial<View["status"]>) => {
    const looked = view([a]);
    return texts(screen({ ...looked, status: { ...looked.status, ...differs } }, WIDE));
  };
  assertMatch(shown({ cluster })[0] ?? "", /, 3 replicas$/);
  const away = shown({ cluster: { ...cluster, up: false, error: "refused" } });
  assertMatch(away[0] ?? "", /, store away$/);
  assertEquals(away[3], "The store of the replicas is away: changes are refused");
  const stale = shown({ pools });
  assertEquals(stale.slice(3, 5), [
    "Pool api goes by an old list of backends",
    "  pool api  from file, stale for 1 min: no such file",
  ]);
  assert(stale.includes("api  round-robin, 1 of 1 up, from file, stale"), stale.join("\n"));
});

// What `roundhouse top` puts on the screen and into a pipe.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { History } from "../../../../src/admin/dashboard/history.js";
import type { BackendStatus } from "../../../../src/admin/dashboard/status.d.ts";
import { frame } from "../../../../src/cli/top/screen.ts";
import { type Line, PLAIN_TITLES, plainLines, screen, type View } from "../../../../src/cli/top/table.ts";
import { backendStatus, status } from "../../../support/status.ts";

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
  return { status: latest, history, now: Date.parse("2026-01-01T00:01:00.000Z") };
}

function texts(lines: readonly Line[]): string[] {
  return lines.map((line) => line.map(({ text }) => text).join(""));
}

Deno.test("screen() tells the whole, who is down and why, and a line for each backend in columns", () => {
  const a = backendStatus("a", {
    weight: 2,
    maxConnections: 100,
    currentConnections: 1,
    latencyMs: { ewma: 1.23, p50: 1, p95: 2, p99: 3 },
  });
  assertEquals(texts(screen(view([a, backendStatus("b", DOWN)], 3), 40)), [
    "roundhouse 1.2.3  round-robin, engine fetch, 1 worker, up for 1 min",
    "6.0 requests/s  2 in flight  0 queued  6 requests  0 failed  0 retried",
    "",
    "1 of 2 backends is down",
    "  http://b  check failed: refused, 30 s ago",
    "",
    "BACKEND   HEALTH  SHARE  REQ/S  CONNS  LATENCY  REQUESTS  FAILURES  WEIGHT  WHY",
    "http://a  up       50 %    3.0  1/100   1.2 ms         3         0       2  ",
    "http://b  down     50 %    3.0      0        –         3         0       1  check failed: refused, 30 s ago",
  ]);
});

Deno.test("screen() never has more lines than the terminal, and counts what is left out", () => {
  const many = Array.from({ length: 50 }, (_, index) => backendStatus(`b${index}`));
  const lines = texts(screen(view(many), 20));
  assert(lines.length <= 20, `${lines.length} lines`);
  assertMatch(lines.at(-1) ?? "", /^… and \d+ more backends$/);
  const shown = lines.filter((line) => line.startsWith("http://")).length;
  assertEquals(lines.at(-1), `… and ${50 - shown} more backends`);
});

Deno.test("frame() cuts lines at the width by what is seen of them, with colours and without", () => {
  const lines: Line[] = [[{ text: "abcdef", style: "bad" }, { text: "ghi" }]];
  assertEquals(frame(lines, 8, false), "\x1b[Habcdefgh\x1b[K\x1b[J");
  assertEquals(frame(lines, 8, true), "\x1b[H\x1b[31mabcdef\x1b[0mgh\x1b[K\x1b[J");
  assertEquals(frame(lines, 6, true), "\x1b[H\x1b[31mabcdef\x1b[0m\x1b[K\x1b[J");
});

Deno.test("plainLines() has one line a backend with as many fields as titles, and one for an empty pool", () => {
  const a = backendStatus("a", { latencyMs: { ewma: 1.26, p50: 1, p95: 2, p99: 3 } });
  const lines = plainLines(view([a, backendStatus("b", DOWN)], 1));
  assertEquals(lines, [
    "2026-01-01T00:01:00Z\thttp://a\tup\tactive\t0.5\t1\t0\t1.3\t1\t0\t1\t-",
    "2026-01-01T00:01:00Z\thttp://b\tdown\tactive\t0.5\t1\t0\t-\t1\t0\t1\tcheck failed: refused, 30 s ago",
  ]);
  const fields = PLAIN_TITLES.split("\t").length;
  for (const line of [...lines, ...plainLines(view([]))]) assertEquals(line.split("\t").length, fields);
});

Deno.test("what a backend has said can't move the cursor, break a line or add a field", () => {
  const reason = "check failed: \x1b[2J\u009b1m\r\n\tgotcha";
  const evil = backendStatus("a", { alive: false, lastChange: { at: AT, to: "down", reason } });
  const all = [...texts(screen(view([evil]), 40)), ...plainLines(view([evil])).flatMap((line) => line.split("\t"))];
  assertEquals(all.filter((text) => /\p{Cc}/u.test(text)), []);
  assert(all.some((text) => text.includes("check failed: ?[2J?1m???gotcha")));
});

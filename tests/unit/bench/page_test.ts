import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { barChart } from "../../../scripts/bench/chart.ts";
import { goalResults, goals, goalsTable } from "../../../scripts/bench/goals.ts";
import { lookups } from "../../../scripts/bench/lookups.ts";
import { measuredPart, replaceMeasured } from "../../../scripts/bench/page.ts";
import type { Result, Row } from "../../../scripts/bench/results.ts";
import { scenarios } from "../../../scripts/bench/scenarios/registry.ts";
import { subjects } from "../../../scripts/bench/subjects/registry.ts";

const page = new URL("../../../docs/performance.md", import.meta.url);

function row(name: string, cpuMicros: number): Row {
  return { name, title: name, own: name === "wire", version: "1.0", samples: [{ cpuMicros }] };
}

function small(...rows: Row[]): Result {
  const columns = [{ key: "cpuMicros", title: "CPU µs/request", digits: 1 }];
  return { name: "small", title: "Small answers", about: "GET.", columns, chart: true, rows };
}

Deno.test("replaceMeasured() leaves the hand-written parts of the real page as they are", async () => {
  const text = await Deno.readTextFile(page);
  const once = replaceMeasured(text, "first\n");
  const twice = replaceMeasured(once, "second");
  assertStringIncludes(twice, ": begin -->\n\nsecond\n\n<!-- measured: end -->");
  assertEquals(replaceMeasured(twice, "first"), once);
  assertEquals([twice.split("<!--")[0], twice.split("-->").at(-1)], [text.split("<!--")[0], text.split("-->").at(-1)]);
});

Deno.test("replaceMeasured() refuses a page without its markers", () => {
  assertThrows(() => replaceMeasured("# Performance\n", "x"), Error, "needs the lines");
});

Deno.test("goalResults() compares within one run and leaves out what was not measured", () => {
  assertEquals(goalResults([small(row("wire", 33), row("nginx", 10))]), []);
  const results = goalResults([small(row("wire", 36), row("haproxy", 30), row("fetch", 70), row("stub", 100))]);
  assertEquals(results.map(({ limit, measured }) => [limit, measured]), [[1.15, 1.2], [1.1, 0.7]]);
});

Deno.test("goalsTable() says by how much a goal was missed", () => {
  const lines = goalsTable([
    { text: "a", limit: 1.1, measured: 1.1 },
    { text: "b", limit: 1.1, measured: 1.21 },
    { text: "c", limit: 0, measured: 3 },
    { text: "d", limit: 12, measured: 12.001 },
    { text: "e", limit: 12, measured: NaN },
  ]).split("\n").slice(2);
  assertEquals(lines, [
    "| a | 1.1 | 1.10 | met |",
    "| b | 1.1 | 1.21 | missed by 10 % |",
    "| c | 0 | 3.00 | missed |",
    "| d | 12 | 12.00 | missed by 1 % |",
    "| e | 12 | – | unknown |",
  ]);
});

Deno.test("measuredPart() names the machine and has goals, chart and table", () => {
  const machine = {
    cpu: "Z80",
    cores: 1,
    memoryGiB: 64,
    kernel: "Linux 0.1",
    deno: "2.9.6",
    v8: "14",
    loadAverage: 0.25,
  };
  const text = measuredPart({
    results: [small(row("wire", 33), row("haproxy", 30))],
    leftOut: [{ title: "Caddy", reason: "not installed", scenarios: ["small", "64k"] }],
    machine,
    at: new Date("2026-01-02T03:04:05Z"),
    rounds: 3,
    seconds: 5,
  });
  for (
    const part of [
      "2026-01-02",
      "Z80, 1 cores",
      "Linux 0.1",
      "| CPU per request, small, wire : haproxy | 1.15 | 1.10 | met |",
      "![Small answers](images/bench-small.svg)",
      "| wire | 1.0 | 33.0 |",
      "Left out: Caddy (small, 64k): not installed",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("barChart() draws lengths in proportion, escapes text and has no line without a spread", () => {
  const bars = [
    { label: "<a>", value: 50, min: 40, max: 60, own: true },
    { label: "b & c", value: 30, min: 30, max: 30, own: false },
  ];
  const svg = barChart(bars, { title: "t", format: (value) => `${value} µs` });
  const widths = [...svg.matchAll(/class="[op]" x="190" y="\d+" width="([\d.]+)"/g)].map(([, width]) => Number(width));
  assertEquals(widths.length, 2);
  assert(Math.abs((widths[0] ?? 0) / (widths[1] ?? 1) - 50 / 30) < 0.01, widths.join());
  assertEquals(svg.match(/class="w"/g)?.length, 1);
  assertMatch(svg, /&lt;a&gt;.*50 µs/);
  assertMatch(svg, /b &amp; c.*30 µs/);
});

Deno.test("a whole run measures what each goal is about", () => {
  const decided = [lookups().name];
  const measures = (name: string, subject: string, key: string) =>
    scenarios.some(({ usualSubjects, columns, ...scenario }) =>
      scenario.name === name && columns.some((column) => column.key === key) &&
      (usualSubjects?.includes(subject) ?? subjects.some(({ name }) => name === subject))
    );
  const unmeasured = goals.filter(({ of, to }) =>
    !decided.includes(of.scenario) &&
    ![of.subject, to ?? of.subject].every((subject) => measures(of.scenario, subject, of.key))
  );
  assertEquals(unmeasured, []);
});

// Figures as the dashboard and `roundhouse top` show them.

import { assertEquals } from "@std/assert";
import {
  countOf,
  formatAgo,
  formatCount,
  formatDuration,
  formatGuards,
  formatLatency,
  formatRate,
  formatShare,
} from "../../../../src/admin/dashboard/format.js";

Deno.test("formatDuration() names the two largest units", () => {
  const lines: [number, string][] = [
    [-3, "0 s"],
    [0.9, "0 s"],
    [59, "59 s"],
    [60, "1 min"],
    [119, "1 min"],
    [3600, "1 h"],
    [3660, "1 h 1 min"],
    [86_399, "23 h 59 min"],
    [86_400, "1 d"],
    [90_000, "1 d 1 h"],
    [86_460, "1 d"],
    [1_000_000, "11 d 13 h"],
  ];
  for (const [seconds, text] of lines) assertEquals(formatDuration(seconds), text, String(seconds));
});

Deno.test("formatGuards() tells what each guard has let through of what those before it have", () => {
  assertEquals(formatGuards(100, undefined), "");
  assertEquals(formatGuards(null, {}), "");
  assertEquals(formatGuards(2000, { rateLimit: 33 }), "rateLimit: 1,967 passed, 33 refused");
  assertEquals(
    formatGuards(100, { deny: 10, concurrency: 5 }),
    "deny: 90 passed, 10 refused; concurrency: 85 passed, 5 refused",
  );
  assertEquals(formatGuards(1, { deny: 2 }), "deny: 0 passed, 2 refused", "read a moment apart");
});

Deno.test("rates, shares and times have as many places as they can bear, and a dash for what is not known", () => {
  assertEquals([null, 0, 0.04, 9.94, 9.96, 1234.4].map(formatRate), ["–", "0", "<0.1", "9.9", "10", "1,234"]);
  assertEquals([null, 0, 0.004, 0.336, 1].map(formatShare), ["–", "0 %", "<1 %", "34 %", "100 %"]);
  assertEquals([null, 0.84, 12.4, 999.4, 1234, 45_678].map(formatLatency), [
    "–",
    "0.8 ms",
    "12 ms",
    "999 ms",
    "1.2 s",
    "46 s",
  ]);
  assertEquals([formatCount(null), formatCount(1_234_567)], ["–", "1,234,567"]);
  assertEquals([formatAgo(1.2), formatAgo(75)], ["just now", "1 min ago"]);
  assertEquals([countOf(1, "backend"), countOf(2, "backend")], ["1 backend", "2 backends"]);
});

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../../src/config/units.ts";

const MAX = Number.MAX_SAFE_INTEGER;

Deno.test("parseDuration() reads every unit, their sums and fractions", () => {
  const cases: readonly (readonly [string | number, number])[] = [
    ["500ms", 500],
    ["5s", 5000],
    ["1m", 60_000],
    ["5m", 300_000],
    ["5ms", 5],
    ["1m30s", 90_000],
    ["2h", 7_200_000],
    ["30d", 2_592_000_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["1.5s", 1500],
    ["1.1s", 1100],
    ["0.001s", 1],
    ["1.5h", 5_400_000],
    ["0s", 0],
    ["007s", 7000],
    [0, 0],
    [250, 250],
    [MAX, MAX],
  ];
  for (const [text, ms] of cases) assertEquals(parseDuration(text), ms, String(text));
});

Deno.test("parseDuration() refuses what is no whole, non-negative number of milliseconds", () => {
  const cases = [
    "",
    " ",
    "5",
    "s",
    "5 s",
    " 5s",
    "5s ",
    "5S",
    "-5s",
    "+5s",
    "30s1m",
    "1s1s",
    "5x",
    "1e3s",
    ".5s",
    "1.s",
  ];
  const more = ["0.5ms", "1.0001s", "1,5s", "5s\n", "∞s", "９s", `${"9".repeat(30)}d`, -1, 1.5, NaN, Infinity, MAX + 1];
  for (const value of [...cases, ...more]) assertEquals(parseDuration(value), undefined, String(value));
});

Deno.test("parseSize() reads every unit in any case", () => {
  const cases: readonly (readonly [string | number, number])[] = [
    ["0B", 0],
    ["512B", 512],
    ["64KiB", 65_536],
    ["64kib", 65_536],
    ["10MB", 10_000_000],
    ["10mb", 10_000_000],
    ["1kB", 1000],
    ["1.5MiB", 1_572_864],
    ["1.5GB", 1_500_000_000],
    ["2GiB", 2_147_483_648],
    ["1TB", 1e12],
    ["1TiB", 1_099_511_627_776],
    [4096, 4096],
  ];
  for (const [text, bytes] of cases) assertEquals(parseSize(text), bytes, String(text));
});

Deno.test("parseSize() refuses what is no whole, non-negative number of bytes", () => {
  const texts = ["", "10", "MB", "10 MB", "-1MB", "10M", "10iB", "1.5B", "0.0001KB", "10MBB", "10XB", "9999999999TB"];
  for (const value of [...texts, -1, 0.5, NaN, Infinity]) assertEquals(parseSize(value), undefined, String(value));
});

Deno.test("formatDuration() and formatSize() write the usual spelling", () => {
  const durations = [0, 1, 999, 1000, 1500, 60_000, 61_500, 90_000, 3_600_000, 90_061_001].map(formatDuration);
  assertEquals(durations, ["0s", "1ms", "999ms", "1s", "1.5s", "1m", "1m1.5s", "1m30s", "1h", "1d1h1m1.001s"]);
  const sizes = [0, 1, 1500, 1000, 65_536, 10_000_000, 1024 ** 3].map(formatSize);
  assertEquals(sizes, ["0B", "1B", "1500B", "1KB", "64KiB", "10MB", "1GiB"]);
});

Deno.test("parseDuration() reads back every duration that formatDuration() writes", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (ms) => assertEquals(parseDuration(formatDuration(ms)), ms)),
  );
});

Deno.test("parseSize() reads back every size that formatSize() writes", () => {
  const bytes = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 4000 }).map((count) => count * 1024 ** 2));
  fc.assert(fc.property(bytes, (size) => assertEquals(parseSize(formatSize(size)), size)));
});

Deno.test("parseDuration() and parseSize() give a whole number or nothing for any text", () => {
  const nearMiss = fc.array(fc.constantFrom("1", "9", ".", "-", "ms", "s", "m", "h", "d", "K", "i", "B", " "))
    .map((parts) => parts.join(""));
  fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), nearMiss), (text) => {
    for (const value of [parseDuration(text), parseSize(text)]) {
      assertEquals(value === undefined || (Number.isSafeInteger(value) && value >= 0), true, text);
    }
  }));
});

/** Durations and sizes as people write them: converts text to whole milliseconds or bytes, and back. */

const DURATION_UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000], ["ms", 1]] as const;

/** The longest duration of a setting with a timer behind it, 24 days: a timer over 2^31 - 1 ms would fire at once. */
export const MAX_TIMER_MS = 24 * 86_400_000;

/** The text form of a duration: units from days down to milliseconds, each at most once, up to 3 decimals. */
export const DURATION_PATTERN = new RegExp(
  `^(?=\\d)${DURATION_UNITS.map(([unit]) => `(?:(\\d+(?:\\.\\d{1,3})?)${unit})?`).join("")}$`,
);

const SIZE_UNITS = [
  ["TiB", 1024 ** 4],
  ["TB", 1000 ** 4],
  ["GiB", 1024 ** 3],
  ["GB", 1000 ** 3],
  ["MiB", 1024 ** 2],
  ["MB", 1000 ** 2],
  ["KiB", 1024],
  ["KB", 1000],
  ["B", 1],
] as const;

/** The text form of a size: a number with up to 3 decimals, then a unit in any case, such as `64KiB` or `10MB`. */
export const SIZE_PATTERN = /^(\d+(?:\.\d{1,3})?)([KkMmGgTt]?[Bb]|[KkMmGgTt][Ii][Bb])$/;

/**
 * Milliseconds of `"500ms"`, `"5s"`, `"1m30s"`, `"1.5h"`, `"30d"`, or of a whole number, which is milliseconds already.
 * Returns `undefined` for anything else, also for fractions of a millisecond.
 */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === "number") return wholeOrNothing(value);
  const match = DURATION_PATTERN.exec(value);
  if (match === null) return undefined;
  let total = 0;
  for (const [index, [, unitMs]] of DURATION_UNITS.entries()) {
    const amount = match[index + 1];
    if (amount !== undefined) total += times(amount, unitMs);
  }
  return wholeOrNothing(total);
}

/** Bytes of `"64KiB"`, `"10MB"`, `"1.5GiB"`, `"512B"`, or of a whole number; `undefined` for anything else. */
export function parseSize(value: string | number): number | undefined {
  if (typeof value === "number") return wholeOrNothing(value);
  const [, amount, unit] = SIZE_PATTERN.exec(value) ?? [];
  const known = SIZE_UNITS.find(([name]) => name.toLowerCase() === unit?.toLowerCase());
  if (amount === undefined || known === undefined) return undefined;
  return wholeOrNothing(times(amount, known[1]));
}

/**
 * The shortest usual text of whole milliseconds, 0 and up: `1m30s`, `1.5s`, `250ms`, `0s`. `parseDuration` reads it.
 */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  let rest = ms;
  let text = "";
  for (const [unit, unitMs] of DURATION_UNITS) {
    if (unit === "s") return rest === 0 ? text : `${text}${rest / 1000}s`;
    const amount = Math.floor(rest / unitMs);
    rest %= unitMs;
    if (amount > 0) text += `${amount}${unit}`;
  }
  return text;
}

/** Whole bytes, 0 and up, in the largest unit that divides them: `64KiB`, `10MB`, `1500B`. `parseSize` reads it. */
export function formatSize(bytes: number): string {
  for (const [unit, unitBytes] of SIZE_UNITS) {
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`;
  }
  return "0B";
}

/** `"1.5"` times 1000 is exactly 1500. Computes in whole thousandths, because 1.1 * 1000 is not 1100 in floats. */
function times(amount: string, unit: number): number {
  const [whole = "0", decimals = ""] = amount.split(".");
  return Number(whole) * unit + (Number(decimals.padEnd(3, "0")) * unit) / 1000;
}

function wholeOrNothing(value: number): number | undefined {
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Formats figures. A missing figure is a dash. */

const NONE = "–";

/**
 * A rate per second or a mean. Smaller values have more decimals.
 *
 * @param {number | null} value
 */
export function formatRate(value) {
  if (value === null) return NONE;
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  if (value < 9.95) return value.toFixed(1);
  return formatCount(Math.round(value));
}

/**
 * A whole number with separators of thousands.
 *
 * @param {number | null} value
 */
export function formatCount(value) {
  return value === null ? NONE : value.toLocaleString("en");
}

/**
 * What the guards of a route have let through and refused: each one sees what those before it have let through.
 *
 * @param {number | null} requests
 * @param {Readonly<Record<string, number>> | undefined} refused by guard, in the order in which they are asked
 */
export function formatGuards(requests, refused) {
  let passed = requests ?? 0;
  return Object.entries(refused ?? {}).map(([guard, count]) => {
    passed = Math.max(passed - count, 0); // requests are read a moment before what was refused
    return `${guard}: ${formatCount(passed)} passed, ${formatCount(count)} refused`;
  }).join("; ");
}

/**
 * @param {number | null} share 0 to 1
 */
export function formatShare(share) {
  if (share === null) return NONE;
  const percent = share * 100;
  if (percent > 0 && percent < 1) return "<1 %";
  return `${Math.round(percent)} %`;
}

/**
 * @param {number | null} ms
 */
export function formatLatency(ms) {
  if (ms === null) return NONE;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

const UNITS = /** @type {const} */ ([["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]]);

/**
 * How long something has lasted, in its two largest units: `3 d 4 h`, `12 min`, `8 s`. Seconds go with nothing else.
 *
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  if (rest < 60) return `${rest} s`;
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (parts.length === 1 && (count === 0 || unit === "s")) break;
    if (count > 0) parts.push(`${count} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/**
 * @param {number} seconds
 */
export function formatAgo(seconds) {
  return seconds < 1.5 ? "just now" : `${formatDuration(seconds)} ago`;
}

/**
 * A count and its noun: `1 backend`, `3 backends`.
 *
 * @param {number} count
 * @param {string} noun
 */
export function countOf(count, noun) {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * The time of day of an event on the reader's clock, to the second.
 *
 * @param {Date} date
 */
export function formatTime(date) {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

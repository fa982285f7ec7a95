/** The header `Retry-After` of an authority (RFC 9110 §10.2.3). */

/** An authority that asks for more than a week is asked again after one. */
const LONGEST_MS = 7 * 86_400_000;

/** How long to wait, from now. `undefined`: the header is missing, malformed or in the past. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,15}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return ms > 0 ? Math.min(ms, LONGEST_MS) : undefined;
}

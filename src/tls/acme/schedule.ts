/** When a certificate is ordered: pure functions of times in milliseconds. */

/** When a certificate is valid. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What became of the last orders for a name. */
export interface Tries {
  /** How many have failed in a row. One that was cut off by the end of the process has failed. */
  readonly failures: number;
  /** When the last one began, or has succeeded. */
  readonly lastMs: number;
  /** The authority wants no order before this time. */
  readonly notBeforeMs: number;
  /** Why the last one failed. */
  readonly error: string | null;
}

export const NO_TRIES: Tries = { failures: 0, lastMs: -Infinity, notBeforeMs: -Infinity, error: null };

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * The pauses after failures in a row. There are five orders in the first hour: that many failed validations of a name
 * are what Let's Encrypt allows in an hour.
 */
const PAUSES_MS = [1, 5, 15, 30, 60, 120, 240, 360].map((minutes) => minutes * MINUTE_MS);
/** Nothing makes orders come sooner one after the other, not even an authority whose certificates end at once. */
const SHORTEST_PAUSE_MS = MINUTE_MS;
/** A longer wish of an authority than this was read with another time of day. */
const LONGEST_WISH_MS = 7 * DAY_MS;
/** Pauses are longer by up to this part. */
const JITTER = 0.1;

/**
 * When to renew a certificate: with a third of its life left, and then at a moment of the following day, so that not all
 * ask at once. For a short life that day is shorter.
 *
 * @param share which moment, from 0 up to 1
 */
export function renewalAt({ fromMs, untilMs }: Validity, share: number): number {
  const leftMs = Math.max(0, untilMs - fromMs) / 3;
  return untilMs - leftMs + share * Math.min(DAY_MS, leftMs / 4);
}

/**
 * When to order again after failures. The nearer the end of the certificate, the shorter the pause.
 *
 * @param untilMs when the present certificate ends; `undefined`: there is none
 */
export function retryAt(tries: Tries, untilMs: number | undefined, share: number): number {
  const { failures, lastMs, notBeforeMs } = tries;
  if (failures === 0) return retrySoonAt(tries);
  const pauseMs = (PAUSES_MS[failures - 1] ?? Math.max(...PAUSES_MS)) * (1 + share * JITTER);
  const leftMs = untilMs === undefined ? -1 : untilMs - lastMs;
  const limitMs = leftMs < 0 ? Infinity : Math.max(SHORTEST_PAUSE_MS, leftMs / 4);
  return Math.max(lastMs + Math.min(pauseMs, limitMs), notBeforeMs);
}

/** When to order again after a start or a reload: whoever did that may have mended what was wrong. */
export function retrySoonAt({ lastMs, notBeforeMs }: Tries): number {
  return Math.max(lastMs + SHORTEST_PAUSE_MS, notBeforeMs);
}

/** What was kept, as far as it can be true now: the time of day may have been wrong. */
export function plausible(tries: Tries, nowMs: number): Tries {
  const { lastMs, notBeforeMs } = tries;
  return { ...tries, lastMs: Math.min(lastMs, nowMs), notBeforeMs: Math.min(notBeforeMs, nowMs + LONGEST_WISH_MS) };
}

/**
 * When to renew although the other replicas can't be asked: halfway from the usual time to the end. Before that they
 * would all order the same certificate.
 */
export function renewalAloneAt(validity: Validity, share: number): number {
  const usualMs = renewalAt(validity, share);
  return usualMs + Math.max(0, validity.untilMs - usualMs) / 2;
}

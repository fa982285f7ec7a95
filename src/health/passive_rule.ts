/**
 * The pure rule that turns failed requests into backends that get no requests for a time. Every isolate goes by it: what
 * is observed and how things stand goes in, the decision comes out.
 */

import type { PoolSettings } from "../config/pool_settings.ts";
import { MAX_TIMER_MS } from "../config/units.ts";
import type { Backend } from "../pool/backend.ts";

/** What the settings say. */
export interface PassiveLimits extends Readonly<PoolSettings["passive"]> {
  /** Whether checks mark a backend up again. If not, a backend that refuses connections is ejected instead. */
  readonly checked: boolean;
}

export function passiveLimits({ passive, health }: Pick<PoolSettings, "passive" | "health">): PassiveLimits {
  return { ...passive, checked: health.type !== "none" };
}

/** What was observed of a backend, together with what was observed before. */
export type Observation =
  /** No connection could be made, for the `inARow`th time in a row over all isolates. */
  | { readonly type: "unreachable"; readonly inARow: number }
  /** An attempt failed otherwise. The oldest of the last `serverErrors` failures was at `sinceMs`, if there are as many. */
  | { readonly type: "failure"; readonly sinceMs: number | undefined; readonly nowMs: number };

/** How a backend stands before the observation. */
export type Standing = Pick<Backend, "inPool" | "ejected">;

/** `down`: until a check passes. `ejected`: for a time, whatever checks say, if the pool can spare the backend. */
export type Verdict = "stays" | "down" | "ejected";

/** An ejection that is over. */
export interface PastEjection {
  readonly lastedMs: number;
  readonly endedAtMs: number;
}

/** An ejection repeats when the last one ended no longer ago than this many times `ejectFor`, … */
const REPEATS_WITHIN = 10;

/** … and lasts for this many times `ejectFor` at most. */
const LONGEST = 10;

/**
 * Whether an observation changes anything that is counted. A request may outlive its backend's time in the pool. While a
 * backend is ejected its failures do not count: their count starts at 0 when it comes back.
 */
export function counts(type: Observation["type"], { inPool, ejected }: Standing, limits: PassiveLimits): boolean {
  if (!inPool) return false;
  return type === "unreachable" ? limits.connectFailures > 0 : limits.serverErrors > 0 && !ejected;
}

/** What an observation means for its backend. */
export function judge(standing: Standing, observed: Observation, limits: PassiveLimits): Verdict {
  if (!counts(observed.type, standing, limits)) return "stays";
  if (observed.type === "failure") return isTooMany(observed, limits.windowMs) ? "ejected" : "stays";
  if (observed.inARow < limits.connectFailures) return "stays";
  if (limits.checked) return "down";
  return standing.ejected ? "stays" : "ejected";
}

/** Whether another backend takes requests. The last one that does is never ejected, even if it fails requests. */
export function canSpare(backends: readonly Pick<Backend, "selectable">[], backend: Pick<Backend, "selectable">) {
  return backends.some((other) => other !== backend && other.selectable);
}

/** Twice as long as the last ejection, if that ended recently: each return of a failing backend costs requests. */
export function ejectionMs(last: PastEjection | undefined, nowMs: number, ejectForMs: number): number {
  if (last === undefined || nowMs - last.endedAtMs > REPEATS_WITHIN * ejectForMs) return ejectForMs;
  return Math.min(Math.max(2 * last.lastedMs, ejectForMs), LONGEST * ejectForMs, MAX_TIMER_MS);
}

/** How many of a pool's backends may be ejected for failures at once: a share of all, rounded down. */
export function ejectionLimit(backends: number, maxEjected: number): number {
  // 0.29 × 100 is 28.999999999999996 in binary fractions.
  return Math.floor(backends * maxEjected + 1e-9);
}

/** Which backend comes back at once because no other one takes requests: the one that has been ejected for longest. */
export function mustReturn<Out extends Pick<Backend, "up" | "state" | "weight">>(
  backends: readonly Pick<Backend, "selectable">[],
  ejected: Iterable<Out>,
): Out | undefined {
  if (backends.some(({ selectable }) => selectable)) return undefined;
  for (const backend of ejected) {
    if (backend.up && backend.state === "active" && backend.weight > 0) return backend;
  }
}

/** Whether as many failures as it takes all lie within the window; the window's ends count. */
function isTooMany({ sinceMs, nowMs }: Extract<Observation, { type: "failure" }>, windowMs: number): boolean {
  return sinceMs !== undefined && nowMs - sinceMs <= windowMs;
}

/** Looks again and again: when what was found no longer holds, and after a failure with growing pauses. */

import { messageOf } from "../../errors.ts";
import type { Clock } from "../../net/clock.ts";
import { pause } from "../../net/pause.ts";
import { withinLimit } from "../../net/fair_limit.ts";
import { Pauses } from "../pauses.ts";
import type { FoundBackend, SourceReport } from "../source.ts";

/** What one lookup has found. */
export interface Finding {
  readonly backends: readonly FoundBackend[];
  /** How long that holds; `undefined`: nobody said. */
  readonly ttlS: number | undefined;
  /** Why the list may be old or incomplete; `null`: it is neither. */
  readonly problem: string | null;
}

/** What the pauses go by. */
export interface Timing {
  /** `null`: as the answer says. */
  readonly refreshMs: number | null;
  readonly keepForMs: number;
}

interface FollowingOptions extends Timing {
  readonly clock: Clock;
  readonly random: () => number;
}

/** The longest time for one lookup, whatever it takes to ask for. */
const LIMIT_MS = 30_000;

const SHORTEST_MS = 1000;
const LONGEST_MS = 60_000;

/** Roundhouses that began together ask at different times, and never before the answer has expired. */
const JITTER = 0.1;

/** For an answer that does not say how long it holds. */
const USUAL_MS = 5000;

/** An answer that there is nothing is asked for so often before it removes the last backends. */
const QUESTIONS_BEFORE_REMOVAL = 4;

/** The pause after a lookup without a failure. */
export function pauseMsAfter(
  { ttlS, backends }: Omit<Finding, "problem">,
  { refreshMs, keepForMs }: Timing,
  random: () => number,
): number {
  if (refreshMs !== null) return refreshMs;
  const holdsMs = ttlS === undefined ? USUAL_MS : ttlS * 1000;
  const most = backends.length > 0 ? LONGEST_MS : Math.min(LONGEST_MS, keepForMs / QUESTIONS_BEFORE_REMOVAL);
  const ms = Math.max(Math.min(holdsMs, most / (1 + JITTER)), SHORTEST_MS);
  return Math.round(ms * (1 + JITTER * random()));
}

/** Reports what `lookUp` finds until `stop` fires. Never rejects. */
export async function follow(
  lookUp: (stop: AbortSignal) => Promise<Finding>,
  report: SourceReport,
  stop: AbortSignal,
  options: FollowingOptions,
): Promise<void> {
  const { clock, random } = options;
  const pauses = new Pauses(random);
  let last: Told = { text: "", backends: [] };
  while (!stop.aborted) {
    const finding = await lookedUp(lookUp, stop);
    if (stop.aborted) break;
    const { problem, backends } = finding;
    const told = toldAgain(backends, last);
    // What is new counts although something else failed. If that fails again, the next lookup says so.
    if (problem === null || backends.length > 0 && told !== last) report.found(told.backends);
    else report.failed(problem);
    if (problem === null) pauses.reset();
    if (problem === null || backends.length > 0) last = told;
    await pause(problem === null ? pauseMsAfter(finding, options, random) : pauses.next(), clock, stop);
  }
}

async function lookedUp(lookUp: (stop: AbortSignal) => Promise<Finding>, stop: AbortSignal): Promise<Finding> {
  try {
    return await withinLimit(LIMIT_MS, (limit) => lookUp(AbortSignal.any([stop, limit])));
  } catch (error) {
    return { backends: [], ttlS: undefined, problem: messageOf(error) };
  }
}

/** A list as it was reported. */
interface Told {
  /** What tells it from others. */
  readonly text: string;
  readonly backends: readonly FoundBackend[];
}

/** The last list if it is the same, so that whoever compares it is done at once. */
function toldAgain(backends: readonly FoundBackend[], last: Told): Told {
  const text = backends.map(({ spec: { url, weight, backup, tls } }) => `${url} ${weight} ${backup} ${tls.serverName}`)
    .join();
  return text === last.text ? last : { text, backends };
}

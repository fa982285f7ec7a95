/** Stays connected to one of several servers: opens a session anew whenever one ends, on another server if need be. */

import type { Clock } from "../net/clock.ts";
import { pause } from "../net/pause.ts";
import { failureOf } from "./asking.ts";
import { LostError } from "./json_lines.ts";
import { Pauses } from "./pauses.ts";
import { SourceError, type SourceReport } from "./source.ts";

/** A session that has lasted so long after its first list was a success. A failure after it is the first one. */
const STEADY_MS = 10_000;

/** What sessions are held with. */
export interface SessionContext {
  readonly clock: Clock;
  readonly random: () => number;
}

/** What sessions are kept with. */
export interface SessionOptions extends SessionContext {
  /** At least one. */
  readonly servers: readonly string[];
  readonly report: SourceReport;
  readonly stop: AbortSignal;
}

/**
 * Holds a session with a server until it ends by an error, and leaves nothing open then. Calls `answered` once the server
 * has given a list. A `LostError` after that says that the session has to begin again. That alone is no failure:
 * connections end when servers restart, and proxies cut those that are idle.
 */
export type HoldSession = (server: string, answered: () => void, stop: AbortSignal) => Promise<never>;

/**
 * Holds one session after the other until `stop` fires. A failure is reported when every server has failed in turn;
 * until then the next one is tried at once. Never rejects.
 */
export async function keepSessions(
  hold: HoldSession,
  { servers, clock, random, report, stop }: SessionOptions,
): Promise<void> {
  const pauses = new Pauses(random);
  let failures = 0;
  for (let turn = 0; !stop.aborted;) {
    const server = servers[turn % servers.length] ?? "";
    let answeredAtMs: number | undefined;
    try {
      await hold(server, () => answeredAtMs = clock.now(), stop);
    } catch (error) {
      if (stop.aborted) return;
      if (answeredAtMs !== undefined && clock.now() - answeredAtMs >= STEADY_MS) {
        pauses.reset();
        failures = 0;
      }
      if (answeredAtMs === undefined || !(error instanceof LostError)) {
        turn++;
        if (++failures < servers.length) continue;
        report.failed(`${server}: ${failureOf(error).message}`);
      }
    }
    await pause(pauses.next(), clock, stop);
  }
}

/**
 * Runs tasks that go on until their signal fires. When one of them ends, the others are stopped. Settles when all have,
 * with the error that came first.
 */
export async function together(
  stop: AbortSignal,
  tasks: readonly ((stop: AbortSignal) => Promise<never>)[],
): Promise<never> {
  const ending = new AbortController();
  const end = () => ending.abort(new SourceError("the session has ended"));
  stop.addEventListener("abort", end);
  if (stop.aborted) end();
  const errors: unknown[] = [];
  await Promise.all(tasks.map(async (task) => {
    try {
      await task(ending.signal);
    } catch (error) {
      errors.push(error);
    }
    end();
  }));
  stop.removeEventListener("abort", end);
  throw errors[0];
}

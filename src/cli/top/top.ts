/** `roundhouse top`: the pool of a running roundhouse, each second, in a terminal or as plain lines. */

import { History } from "../../admin/dashboard/history.js";
import type { RouteStatus, Status } from "../../admin/dashboard/status.d.ts";
import { AdminCallError, type AdminTarget, callAdmin, failureOf, notTheAdminApi } from "../admin_call.ts";
import { writeOut } from "../output.ts";
import { Screen } from "./screen.ts";
import { screen } from "./lines.ts";
import { PLAIN_TITLES, plainLines } from "./plain.ts";
import { RouteRates } from "./routes.ts";
import type { View } from "./view.ts";

export interface TopOptions extends AdminTarget {
  /** Whether a terminal's colours may be used. */
  readonly hasColour: boolean;
}

const EVERY_MS = 1000;
const ANSWER_WITHIN_MS = 5000;

/** Where the status is shown. */
interface Output {
  open(): void;
  show(view: View): void;
  /** Shows that there is no answer at the moment. The last status stays visible. */
  lost(reason: string): void;
  close(): void;
}

/**
 * Runs until the signal fires, its output is closed or `q` is pressed.
 *
 * @throws {AdminCallError} when the first request gets no valid answer, or a later one is refused
 */
export async function runTop({ hasColour, ...target }: TopOptions): Promise<void> {
  const first = await look(target);
  if (first === undefined) return;
  const quit = new AbortController();
  const output = Deno.stdout.isTerminal() ? onScreen(new Screen(hasColour), () => quit.abort()) : asLines();
  try {
    output.open();
    await watch({ ...target, signal: AbortSignal.any([target.signal, quit.signal]) }, first, output);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the reader of the output has ended
  } finally {
    output.close();
  }
}

/** What the admin API has answered. */
interface Look {
  readonly status: Status;
  readonly routes: readonly RouteStatus[];
}

/** Shows `first`, then what there is each second, until the signal fires. */
async function watch(target: AdminTarget, first: Look, output: Output): Promise<void> {
  const { signal } = target;
  const history = new History();
  const rates = new RouteRates();
  let found: Look | undefined = first;
  while (!signal.aborted) {
    const next = pause(EVERY_MS, signal);
    if (found !== undefined) {
      const { status } = found;
      const now = Date.parse(status.startedAt) + status.uptimeSeconds * 1000;
      history.add(status);
      output.show({ status, history, now, routes: rates.add(now / 1000, found.routes) });
    }
    await next;
    found = await look(target).catch((error) => {
      if (!(error instanceof AdminCallError) || !error.mayPass) throw error;
      output.lost(error.message);
      return undefined;
    });
  }
}

/**
 * What there is to show; `undefined` when the signal fires first.
 *
 * @throws {AdminCallError}
 */
async function look(target: AdminTarget): Promise<Look | undefined> {
  const [status, routes] = await Promise.all([fetchStatus(target), fetchRoutes(target)]);
  return status === undefined || routes === undefined ? undefined : { status, routes };
}

/** The answer of `GET /routes`, under the conditions of `look`. Whatever is wrong, `fetchStatus` says it. */
async function fetchRoutes(target: AdminTarget): Promise<readonly RouteStatus[] | undefined> {
  const answer = await callAdmin(target, { method: "GET", path: "routes", withinMs: ANSWER_WITHIN_MS });
  if (answer === undefined) return undefined;
  return answer.status === 200 && Array.isArray(answer.body) ? answer.body : [];
}

/**
 * The answer of `GET /status`; `undefined` when the signal fires first.
 *
 * @throws {AdminCallError}
 */
async function fetchStatus(target: AdminTarget): Promise<Status | undefined> {
  const { adminUrl } = target;
  const answer = await callAdmin(target, { method: "GET", path: "status", withinMs: ANSWER_WITHIN_MS });
  if (answer === undefined) return undefined;
  if (answer.status !== 200) throw new AdminCallError(failureOf(adminUrl, answer), answer.status >= 500);
  const { backends, startedAt } = Object(answer.body);
  if (!Array.isArray(backends) || typeof startedAt !== "string") throw notTheAdminApi(adminUrl);
  return answer.body as Status; // from the same version, or from one with the same fields
}

function onScreen(terminal: Screen, quit: () => void): Output {
  let shown: View | undefined;
  const draw = (view: View) => terminal.draw(screen(view, terminal.size));
  return {
    open: () => {
      terminal.open();
      void terminal.pressed("q").then(quit);
    },
    show: (view) => draw(shown = view),
    lost: (reason) => {
      if (shown !== undefined) draw({ ...shown, lost: reason });
    },
    close: () => terminal.close(),
  };
}

function asLines(): Output {
  let isLost = false;
  return {
    open: () => writeOut(`${PLAIN_TITLES}\n`),
    show: (view) => {
      isLost = false;
      writeOut(plainLines(view).map((line) => `${line}\n`).join(""));
    },
    lost: (reason) => {
      if (!isLost) console.error(`roundhouse: ${reason}; trying again`);
      isLost = true;
    },
    close: () => {},
  };
}

/** Resolves after `ms`, or at once when `signal` fires. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

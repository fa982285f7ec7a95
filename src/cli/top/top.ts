/** `roundhouse top`: the pool of a running roundhouse, each second, in a terminal or as plain lines. */

import { History } from "../../admin/dashboard/history.js";
import type { Status } from "../../admin/dashboard/status.d.ts";
import { messageOf } from "../../errors.ts";
import { Screen, writeOut } from "./screen.ts";
import { type Line, PLAIN_TITLES, plainLines, printable, screen, type View } from "./table.ts";

export interface TopOptions {
  /** The URL of the admin API. */
  readonly adminUrl: string;
  readonly token: string | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Whether a terminal's colours may be used. */
  readonly hasColour: boolean;
}

/** Why there is no status to show. The message is one line for the user. */
export class TopError extends Error {
  override readonly name = "TopError";
  /** Whether to try again: there was no answer, as during a restart of roundhouse. */
  readonly mayPass: boolean;

  constructor(message: string, mayPass: boolean) {
    super(message);
    this.mayPass = mayPass;
  }
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
 * Runs until `signal` fires or its output is closed.
 *
 * @throws {TopError} when the first request gets no valid answer, or a later one is refused
 */
export async function runTop({ adminUrl, token, signal, hasColour }: TopOptions): Promise<void> {
  let status = await fetchStatus(adminUrl, token, signal);
  if (status === undefined) return;
  const output = Deno.stdout.isTerminal() ? onScreen(new Screen(hasColour)) : asLines();
  const history = new History();
  try {
    output.open();
    while (!signal.aborted) {
      const next = pause(EVERY_MS, signal);
      if (status !== undefined) {
        history.add(status);
        output.show({ status, history, now: Date.parse(status.startedAt) + status.uptimeSeconds * 1000 });
      }
      await next;
      status = await fetchStatus(adminUrl, token, signal).catch((error) => {
        if (!(error instanceof TopError) || !error.mayPass) throw error;
        history.interrupt();
        output.lost(error.message);
        return undefined;
      });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // the reader of the output has ended
  } finally {
    output.close();
  }
}

/**
 * The answer of `GET /status`; `undefined` when `signal` fires first.
 *
 * @throws {TopError}
 */
async function fetchStatus(
  adminUrl: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<Status | undefined> {
  const url = new URL("status", adminUrl.endsWith("/") ? adminUrl : `${adminUrl}/`);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]);
  const headers: HeadersInit = token === undefined ? {} : { authorization: `Bearer ${token}` };
  try {
    const response = await fetch(url, { headers, signal: limit });
    const text = await response.text();
    const body: unknown = parsed(text);
    return statusFrom(adminUrl, response.status, body, token !== undefined);
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof TopError) throw error;
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    throw new TopError(`${adminUrl}: ${isLate ? "no answer" : causeOf(error)}`, true);
  }
}

/** The parsed answer, with control characters replaced, because the server may be hostile. `undefined`: not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text, (_, value) => typeof value === "string" ? printable(value) : value);
  } catch {
    return undefined;
  }
}

function statusFrom(adminUrl: string, code: number, body: unknown, hasToken: boolean): Status {
  const { detail, backends, startedAt } = Object(body);
  if (code === 401) {
    const what = hasToken
      ? "refuses the token in ROUNDHOUSE_ADMIN_TOKEN"
      : "requires a token: set ROUNDHOUSE_ADMIN_TOKEN";
    throw new TopError(`${adminUrl}: the admin server ${what}`, false);
  }
  if (code !== 200) {
    throw new TopError(
      `${adminUrl}: got status ${code}${typeof detail === "string" ? `: ${detail}` : ""}`,
      code >= 500,
    );
  }
  if (!Array.isArray(backends) || typeof startedAt !== "string") {
    throw new TopError(`${adminUrl}: this is not the admin API of roundhouse`, false);
  }
  return body as Status; // from the same version, or from one with the same fields
}

/** The last part of the runtime's message, such as `Connection refused (os error 111)`. */
function causeOf(error: unknown): string {
  const text = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  return text.slice(text.lastIndexOf(": ") + 1).trim();
}

function onScreen(terminal: Screen): Output {
  let shown: readonly Line[] = [];
  return {
    open: () => terminal.open(),
    show: (view) => terminal.draw(shown = screen(view, terminal.rows)),
    lost: (reason) =>
      terminal.draw([[{ text: `Not connected: ${reason}. Trying again…`, style: "bad" }], ...shown.slice(1)]),
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

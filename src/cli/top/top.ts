/** `roundhouse top`: the pool of a running roundhouse, each second, in a terminal or as plain lines. */

import { History } from "../../admin/dashboard/history.js";
import type { Status } from "../../admin/dashboard/status.d.ts";
import { messageOf } from "../../errors.ts";
import { Screen, writeOut } from "./screen.ts";
import { type Line, PLAIN_TITLES, plainLines, printable, screen, type View } from "./table.ts";

export interface TopOptions {
  /** Where the admin server is. */
  readonly adminUrl: string;
  readonly token: string | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Whether a terminal's colours may be used. */
  readonly hasColour: boolean;
}

/** Why there is nothing to show; the message is one line for the person who asked. */
export class TopError extends Error {
  override readonly name = "TopError";
  /** Whether it is worth asking again: nobody answered, as while roundhouse restarts. */
  readonly mayPass: boolean;

  constructor(message: string, mayPass: boolean) {
    super(message);
    this.mayPass = mayPass;
  }
}

const EVERY_MS = 1000;
const ANSWER_WITHIN_MS = 5000;

/** Where what was seen goes. */
interface Output {
  open(): void;
  show(view: View): void;
  /** There is no answer for now; what was seen last stays. */
  lost(reason: string): void;
  close(): void;
}

/**
 * Runs until `signal` fires or nobody reads what it prints any more.
 *
 * @throws {TopError} when the first question gets no proper answer, or a later one is refused
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
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error; // whoever read the lines has gone
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

/** What the server says, each string fit to be shown: whoever answers may be hostile. `undefined`: it is no JSON. */
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
  return body as Status; // of this program's own version, or of one whose fields mean the same
}

/** What the runtime wraps: `Connection refused (os error 111)` is all that a person needs. */
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

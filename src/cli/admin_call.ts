/** Calls the admin API of a running roundhouse, for the commands that are its clients. */

import { messageOf } from "../errors.ts";

/** Which roundhouse to call. */
export interface AdminTarget {
  /** The URL of the admin API. */
  readonly adminUrl: string;
  readonly token: string | undefined;
  /** Ends the call. */
  readonly signal: AbortSignal;
}

/** An answer of the admin API. */
export interface AdminAnswer {
  readonly status: number;
  /** The parsed body. `undefined`: it is not JSON. */
  readonly body: unknown;
}

/** Why there is no answer to show. The message is one line for the user. */
export class AdminCallError extends Error {
  override readonly name = "AdminCallError";
  /** Whether to try again: there was no answer, as during a restart of roundhouse. */
  readonly mayPass: boolean;

  constructor(message: string, mayPass: boolean) {
    super(message);
    this.mayPass = mayPass;
  }
}

/**
 * The answer to a request for a path of the admin API; `undefined` when `signal` fires first. Strings in the body have
 * no control characters, because the server may be hostile.
 *
 * @throws {AdminCallError} if there is no answer within `withinMs`, or the token is refused
 */
export async function callAdmin(
  { adminUrl, token, signal }: AdminTarget,
  { method, path, withinMs }: { readonly method: "GET" | "POST"; readonly path: string; readonly withinMs: number },
): Promise<AdminAnswer | undefined> {
  const url = new URL(path, adminUrl.endsWith("/") ? adminUrl : `${adminUrl}/`);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  const headers: HeadersInit = token === undefined ? {} : { authorization: `Bearer ${token}` };
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, { method, headers, signal: limit });
    [status, text] = [response.status, await response.text()];
  } catch (error) {
    if (signal.aborted) return undefined;
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    throw new AdminCallError(`${adminUrl}: ${isLate ? "no answer" : causeOf(error)}`, true);
  }
  if (status === 401) {
    const what = token !== undefined
      ? "refuses the token in ROUNDHOUSE_ADMIN_TOKEN"
      : "requires a token: set ROUNDHOUSE_ADMIN_TOKEN";
    throw new AdminCallError(`${adminUrl}: the admin server ${what}`, false);
  }
  return { status, body: parsed(text) };
}

/** What an answer says about a failure, in one line: its status, and its detail if it has one. */
export function failureOf(adminUrl: string, answer: AdminAnswer): string {
  const detail = detailOf(answer);
  return `${adminUrl}: got status ${answer.status}${detail === undefined ? "" : `: ${detail.replaceAll("\n", "; ")}`}`;
}

/** Why an answer is useless: another server than roundhouse's admin API sent it. */
export function notTheAdminApi(adminUrl: string): AdminCallError {
  return new AdminCallError(`${adminUrl}: this is not the admin API of roundhouse`, false);
}

/** What the body of an error says. */
export function detailOf({ body }: AdminAnswer): string | undefined {
  const { detail } = Object(body);
  return typeof detail === "string" ? detail : undefined;
}

/** Shows controls, bidirectional marks and invisible characters as `?`, as a terminal would obey them. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

function parsed(text: string): unknown {
  try {
    // The detail of an error may have a line for each thing that is wrong.
    return JSON.parse(text, (key, value) => {
      if (typeof value !== "string") return value;
      return key === "detail" ? value.split("\n").map(printable).join("\n") : printable(value);
    });
  } catch {
    return undefined;
  }
}

/** The last part of the runtime's message, such as `Connection refused (os error 111)`. */
function causeOf(error: unknown): string {
  const text = messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
  return text.slice(text.lastIndexOf(": ") + 1).trim();
}

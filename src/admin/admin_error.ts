/** Refusals of the admin API, as `application/problem+json` (RFC 9457). */

import { type Diagnostic, diagnosticLine } from "../config/diagnostics.ts";
import { REASON_PHRASES } from "../net/reason_phrases.ts";
import { answerJson } from "./view.ts";

/** The statuses of refusals. */
export type RefusalStatus = Exclude<keyof typeof REASON_PHRASES, 200 | 201 | 304 | 308>;

/** More than these are counted, not listed: a body of 64 KiB can hold thousands of unknown fields. */
const MOST_LISTED = 10;

/** A refusal. Guards and routes throw it; `server.ts` turns it into the response. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly status: RefusalStatus;
  /** Headers for this status, such as `allow` for 405. */
  readonly headers: Readonly<Record<string, string>>;
  /** More members of the response. */
  readonly members: Readonly<Record<string, unknown>>;

  /** `detail` tells the caller what it has sent and what is expected. */
  constructor(
    status: RefusalStatus,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
    members: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail);
    this.status = status;
    this.headers = headers;
    this.members = members;
  }
}

/** The response to a refused request. */
export function problemResponse({ status, message, headers, members }: AdminError): Response {
  return answerJson({ type: "about:blank", title: REASON_PHRASES[status], status, detail: message, ...members }, {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

/**
 * 400 with every invalid field: `weight: got -1, want a whole number from 0 to 256; …`. `whole` names the top level.
 */
export function invalidFields(diagnostics: readonly Diagnostic[], whole: string): AdminError {
  const lines = diagnostics.slice(0, MOST_LISTED)
    .map((diagnostic) => diagnostic.path.length === 0 ? `${whole}: ${diagnostic.text}` : diagnosticLine(diagnostic));
  const unlisted = diagnostics.length - lines.length;
  if (unlisted > 0) lines.push(`and ${unlisted} more`);
  return new AdminError(400, lines.join("; "));
}

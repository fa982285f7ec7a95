/** How the admin API says no: every refusal as `application/problem+json` (RFC 9457). */

import { type Diagnostic, diagnosticLine } from "../config/diagnostics.ts";
import { REASON_PHRASES } from "../net/reason_phrases.ts";
import { answerJson } from "./view.ts";

/** A status that the admin API refuses with. */
export type RefusalStatus = Exclude<keyof typeof REASON_PHRASES, 200 | 201 | 304 | 308>;

/** More than these are counted, not listed: a body of 64 KiB can hold thousands of unknown fields. */
const MOST_LISTED = 10;

/** A refusal. Thrown by guards and routes, turned into the answer in one place, `server.ts`. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  readonly status: RefusalStatus;
  /** What goes with this status, such as `allow` with 405. */
  readonly headers: Readonly<Record<string, string>>;

  /** `detail` is what the caller reads: what it sent and what was expected. */
  constructor(status: RefusalStatus, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
  }
}

/** The answer to a refused request. */
export function problemResponse({ status, message, headers }: AdminError): Response {
  return answerJson({ type: "about:blank", title: REASON_PHRASES[status], status, detail: message }, {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

/** 400 with every invalid field: `weight: got -1, want a whole number from 0 to 256; …`. `whole` names the top level. */
export function invalidFields(diagnostics: readonly Diagnostic[], whole: string): AdminError {
  const lines = diagnostics.slice(0, MOST_LISTED)
    .map((diagnostic) => diagnostic.path.length === 0 ? `${whole}: ${diagnostic.text}` : diagnosticLine(diagnostic));
  const unlisted = diagnostics.length - lines.length;
  if (unlisted > 0) lines.push(`and ${unlisted} more`);
  return new AdminError(400, lines.join("; "));
}

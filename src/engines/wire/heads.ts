/** Heads as they go out: what the policy decided on, and the framing and connection fields, which are the engine's. */

import type { BodyFraming } from "../../http1/body.ts";
import type { FieldSection } from "../../http1/head.ts";
import type { HeaderPair } from "../../proxy/message.ts";

export const CLOSE_LINE = "Connection: close\r\n";
export const KEEP_ALIVE_LINE = "Connection: keep-alive\r\n";

const CHUNKED_LINE = "Transfer-Encoding: chunked\r\n";

/** What is said of a body's length: what is true of it, nothing (204), or what the backend said (an answer to HEAD). */
export type ToldLength = BodyFraming | "nothing" | "as-given";

const NO_SECTION: FieldSection = { fields: [], text: "", bounds: [0] };

/**
 * @param lines more fields, each with its end
 * @param section where fields were read that may be among `headers`
 */
export function requestHead(
  { method, target }: { readonly method: string; readonly target: string },
  headers: readonly HeaderPair[],
  framing: BodyFraming,
  lines: string,
  section = NO_SECTION,
): string {
  const fields = fieldLines(headers, section, framing, framing.kind === "length" && framing.bytes > 0);
  return `${method} ${target} HTTP/1.1\r\n${fields}${lines}\r\n`;
}

/** Parameters as in `requestHead`. */
export function responseHead(
  { status, reason }: { readonly status: number; readonly reason: string },
  headers: readonly HeaderPair[],
  told: ToldLength,
  lines: string,
  section = NO_SECTION,
): string {
  return `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(headers, section, told, true)}${lines}\r\n`;
}

/** A length that was said several times in one line is the same each time. */
function firstOf(length: string): string {
  const end = length.indexOf(",");
  return end === -1 ? length : length.slice(0, end).trimEnd();
}

/**
 * A length stands where it stood, with the value that is true. Fields that cross unchanged stay the lines that they were,
 * and those that follow each other are copied together.
 */
function fieldLines(
  headers: readonly HeaderPair[],
  { fields, text, bounds }: FieldSection,
  told: ToldLength,
  lengthNeeded: boolean,
): string {
  const bytes = typeof told === "object" && told.kind === "length" ? told.bytes : undefined;
  let length = bytes === undefined ? "" : String(bytes);
  let isTold = false;
  let lines = "";
  let next = 0; // in `fields`
  let runStart = 0;
  let runEnd = 0;
  for (const pair of headers) {
    const name = pair[0];
    let value = pair[1];
    let changed = false;
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      const said = told === "as-given" ? (isTold ? "" : firstOf(value)) : length;
      length = ""; // told once
      isTold = true;
      if (said === "") continue;
      changed = said !== value;
      value = said;
    }
    const at = changed ? -1 : fields.indexOf(pair, next);
    if (at === -1) {
      lines += text.slice(runStart, runEnd) + name + ": " + value + "\r\n";
      runStart = runEnd;
      continue;
    }
    const start = bounds[at] ?? 0;
    if (start !== runEnd) {
      lines += text.slice(runStart, runEnd);
      runStart = start;
    }
    runEnd = bounds[at + 1] ?? 0;
    next = at + 1;
  }
  lines += text.slice(runStart, runEnd);
  if (length !== "" && lengthNeeded) return `${lines}Content-Length: ${length}\r\n`;
  return typeof told === "object" && told.kind === "chunked" ? lines + CHUNKED_LINE : lines;
}

/**
 * Builds the text of heads: the headers that the forwarder decided on, and the engine's own framing and connection
 * fields.
 */

import { Buffer } from "node:buffer";
import type { BodyFraming } from "../../http1/body.ts";
import type { FieldSection } from "../../http1/head.ts";
import type { OwnAnswer } from "../../proxy/exchange.ts";
import type { HeaderPair } from "../../proxy/message.ts";

export const CLOSE_LINE = "Connection: close\r\n";
export const KEEP_ALIVE_LINE = "Connection: keep-alive\r\n";

const CHUNKED_LINE = "Transfer-Encoding: chunked\r\n";

/**
 * What a head says about the body's length: its framing, nothing (204), or what the backend said (an answer to HEAD).
 */
export type ToldLength = BodyFraming | "nothing" | "as-given";

const NO_SECTION: FieldSection = { fields: [], text: "", bounds: [0] };

/**
 * @param lines more field lines, each with its line end
 * @param section the section that fields in `headers` may have been read from
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

/** Has the parameters of `requestHead`. */
export function responseHead(
  { status, reason }: { readonly status: number; readonly reason: string },
  headers: readonly HeaderPair[],
  told: ToldLength,
  lines: string,
  section = NO_SECTION,
): string {
  return `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(headers, section, told, true)}${lines}\r\n`;
}

/**
 * An answer of the proxy itself, with a date. All names are in lower case, as under `fetch`, so that none stands out.
 *
 * @param lines the field lines about the connection, each with its line end
 */
export function ownAnswer(
  { status, title, headers, body }: OwnAnswer,
  { withoutBody, lines }: { readonly withoutBody: boolean; readonly lines: string },
): Buffer {
  const content = typeof body === "string" ? Buffer.from(body) : body;
  let text = `HTTP/1.1 ${status} ${title}\r\n`;
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (!SET_BY_ENGINE.has(lower)) text += `${lower}: ${value}\r\n`;
  }
  if (status !== 204 && status !== 304) text += `content-length: ${content.length}\r\n`;
  text += `${lines.toLowerCase()}date: ${new Date().toUTCString()}\r\n\r\n`;
  const head = Buffer.from(text, "latin1");
  return withoutBody || content.length === 0 ? head : Buffer.concat([head, content]);
}

const SET_BY_ENGINE: ReadonlySet<string> = new Set(["connection", "content-length", "date"]);

/** The first length of a list. All lengths in it are the same. */
function firstOf(length: string): string {
  const end = length.indexOf(",");
  return end === -1 ? length : length.slice(0, end).trimEnd();
}

/**
 * Writes the field lines. `Content-Length` keeps its position and gets the right value. The lines of unchanged fields
 * are copied as they are; those that follow each other are copied together.
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
      length = ""; // written once
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

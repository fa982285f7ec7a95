/** The forms of a log line. */

import type { LogRecord } from "@logtape/logtape";

/** What standard error is: a terminal that shows colours or not, or something that is not read by a person at once. */
export type Terminal = "colour" | "plain" | "none";

/** How lines look. */
export interface LineForm {
  readonly format: "text" | "json";
  /** `"combined"`: lines of requests are in the Combined Log Format, whatever the format of the others. */
  readonly access: boolean | "combined";
}

/** The name of a log line for a request. */
export const REQUEST = "request";

/** The function that makes a line, with its line break, of a record. */
export function formatterFor({ format, access }: LineForm, terminal: Terminal): (record: LogRecord) => string {
  const usual = format === "json" ? formatJson : terminal === "none" ? formatText : formatShort(terminal === "colour");
  if (access !== "combined") return usual;
  return (record) => record.rawMessage === REQUEST ? formatCombined(record) : usual(record);
}

let lastTimestamp = NaN;
let lastTime = "";

/** In ISO 8601. Many lines are of the same millisecond. */
function isoTime(timestamp: number): string {
  if (timestamp !== lastTimestamp) {
    lastTime = new Date(timestamp).toISOString();
    lastTimestamp = timestamp;
  }
  return lastTime;
}

function levelOf(record: LogRecord): string {
  return record.level === "warning" ? "warn" : record.level;
}

/** One JSON object a line: `time`, `level`, `message`, then the event's fields. */
export function formatJson(record: LogRecord): string {
  const time = isoTime(record.timestamp);
  const line = { time, level: levelOf(record), message: record.rawMessage, ...record.properties };
  return visible(JSON.stringify(line)) + "\n";
}

/** `2026-11-22T10:00:00.000Z INFO  backend down backend=http://… reason="check failed"` */
export function formatText(record: LogRecord): string {
  const time = isoTime(record.timestamp);
  let line = `${time} ${levelOf(record).toUpperCase().padEnd(5)} ${record.rawMessage}`;
  for (const [name, value] of Object.entries(record.properties)) {
    if (value !== undefined) line += ` ${name}=${formatValue(value)}`;
  }
  return visible(line) + "\n";
}

/** Fields that someone at a terminal has no use for: names of what the other fields show, and what is in `ready`. */
const LEFT_OUT = new Set(["id", "requestId", "traceId", "pid"]);

/** Select Graphic Rendition. */
const LEVEL_CODES: Readonly<Record<string, string>> = { debug: "2", info: "32", warn: "33", error: "31" };

/**
 * `10:00:00 WARN  backend down backend=http://… reason="check failed"`: the local time of day, and only those fields
 * that say something.
 */
export function formatShort(hasColour: boolean): (record: LogRecord) => string {
  const paint = (code: string, text: string) => hasColour ? `\x1b[${code}m${text}\x1b[0m` : text;
  return (record) => {
    const level = levelOf(record);
    const time = new Date(record.timestamp).toTimeString().slice(0, 8);
    const name = paint(LEVEL_CODES[level] ?? "0", level.toUpperCase().padEnd(5));
    let line = `${paint("2", time)} ${name} ${paint("1", visible(String(record.rawMessage)))}`;
    for (const [name, value] of Object.entries(record.properties)) {
      const says = value !== undefined && value !== null && !LEFT_OUT.has(name) &&
        !(name === "pool" && value === "default");
      if (says) line += ` ${paint("2", `${name}=`)}${visible(formatValue(value))}`;
    }
    return line + "\n";
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `203.0.113.9 - - [22/Nov/2026:10:00:00 +0000] "GET /cart HTTP/1.1" 200 512 "-" "curl/7.88.1"`, as of Apache. */
export function formatCombined({ timestamp, properties }: LogRecord): string {
  const { client, method, path, protocol, status, bytesOut, referer, userAgent } = properties;
  const at = new Date(timestamp);
  const day = `${String(at.getUTCDate()).padStart(2, "0")}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  const time = `${day}:${at.toISOString().slice(11, 19)} +0000`;
  const asked = method === null ? null : `${method} ${path} ${protocol}`;
  const line = `${client} - - [${time}] ${quoted(asked)} ${status} ${bytesOut ?? "-"} ${quoted(referer)} ${
    quoted(userAgent)
  }`;
  return visible(line) + "\n";
}

function quoted(value: unknown): string {
  return `"${value === null || value === undefined ? "-" : String(value).replaceAll(/["\\]/g, "\\$&")}"`;
}

/**
 * Control characters, C1 among them, and what turns or hides text (bidirectional marks, zero widths), as JSON escapes:
 * terminals obey the first, and readers are misled by the rest.
 */
function visible(line: string): string {
  if (PLAIN_LINE.test(line)) return line; // nearly all are; the other expression takes ten times as long
  return line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    let escapes = "";
    for (let at = 0; at < character.length; at++) {
      escapes += `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
    }
    return escapes;
  });
}

/** Printable ASCII. */
const PLAIN_LINE = /^[ -~]*$/;

/** Printable ASCII without spaces, `"` and `=`. */
const PLAIN_VALUE = /^[!#-<>-~]+$/;

/** Without quotes if it can't be misread, otherwise quoted as JSON, so that a line stays one line. */
function formatValue(value: unknown): string {
  if (typeof value === "string" && PLAIN_VALUE.test(value)) return value;
  if (Number.isFinite(value)) return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  return typeof value === "string" && !/^[^\s"=\p{Cc}\p{Cf}]+$/u.test(text) ? JSON.stringify(text) : text;
}

/** The logger: LogTape behind the few calls that roundhouse makes, and the one place that knows the sink. */

import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import { LineWriter } from "./log_writer.ts";

/** Levels as the configuration spells them. */
export type Level = "debug" | "info" | "warn" | "error";

/** Fields of a log line, in the order they are shown. */
export type Fields = Record<string, unknown>;

/** The log of the program. Each call logs one event: the message names it, the fields describe it. */
export interface Log {
  debug(message: string, fields: Fields): void;
  info(message: string, fields: Fields): void;
  warn(message: string, fields: Fields): void;
  error(message: string, fields: Fields): void;
  /** Whether lines of this level are written. Check it before computing expensive fields. */
  isEnabledFor(level: "debug" | "info" | "warning" | "error"): boolean;
}

export interface LogOptions {
  readonly level: Level;
  readonly format: "text" | "json";
}

/** The logging of the process. */
export interface Logging {
  readonly log: Log;
  /** Changes level and format from now on. */
  configure(options: LogOptions): void;
  /** Writes all lines that are still held. Do not log anything after that. */
  close(): Promise<void>;
}

/** Sets up the logging of the process. Lines go to standard error. */
export function setUpLog(options: LogOptions): Logging {
  let formatter = formatterFor(options);
  const log = getLogger(["roundhouse"]);
  // Not LogTape's stream sink: it holds back without limit for a slow reader, and one that is gone ends the process.
  const writer = new LineWriter({
    write: (bytes) => Deno.stderr.write(bytes),
    onDrop: (lines) => log.warn("log lines dropped", { lines, reason: "standard error is read too slowly" }),
  });
  const apply = (options: LogOptions) => {
    formatter = formatterFor(options);
    // Not the asynchronous kind: it fails when it is called again before it is through, as by two reloads in a row.
    configureSync({
      reset: true,
      sinks: { stderr: (record) => writer.push(formatter(record)) },
      loggers: [
        { category: ["roundhouse"], sinks: ["stderr"], lowestLevel: toLogTape(options.level) },
        { category: ["logtape", "meta"], lowestLevel: "fatal" },
      ],
    });
  };
  apply(options);
  return { log, configure: apply, close: () => writer.close() };
}

function formatterFor({ format }: LogOptions): (record: LogRecord) => string {
  return format === "json" ? formatJson : formatText;
}

function toLogTape(level: Level): LogLevel {
  return level === "warn" ? "warning" : level;
}

function levelOf(record: LogRecord): string {
  return record.level === "warning" ? "warn" : record.level;
}

/** One JSON object a line: `time`, `level`, `message`, then the event's fields. */
export function formatJson(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const line = { time, level: levelOf(record), message: record.rawMessage, ...record.properties };
  return visible(JSON.stringify(line)) + "\n";
}

/** `2026-11-22T10:00:00.000Z INFO  backend down backend=http://… reason="check failed"` */
export function formatText(record: LogRecord): string {
  let line = `${new Date(record.timestamp).toISOString()} ${
    levelOf(record).toUpperCase().padEnd(5)
  } ${record.rawMessage}`;
  for (const [name, value] of Object.entries(record.properties)) {
    if (value !== undefined) line += ` ${name}=${formatValue(value)}`;
  }
  return visible(line) + "\n";
}

/**
 * Control characters, C1 among them, and what turns or hides text (bidirectional marks, zero widths), as JSON escapes:
 * terminals obey the first, and readers are misled by the rest.
 */
function visible(line: string): string {
  return line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    let escapes = "";
    for (let at = 0; at < character.length; at++) {
      escapes += `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
    }
    return escapes;
  });
}

/** Without quotes if it can't be misread, otherwise quoted as JSON, so that a line stays one line. */
function formatValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  return typeof value === "string" && !/^[^\s"=\p{Cc}\p{Cf}]+$/u.test(text) ? JSON.stringify(text) : text;
}

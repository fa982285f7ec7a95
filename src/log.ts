/** The logger: LogTape behind the few calls that roundhouse makes, and the one place that knows the sink. */

import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import { formatterFor, type LineForm, REQUEST, type Terminal } from "./log_format.ts";
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

/** What is logged, and how. */
export interface LogOptions extends LineForm {
  readonly level: Level;
}

/** The logging of the process. */
export interface Logging {
  readonly log: Log;
  /** Changes the level and the form of lines from now on. */
  configure(options: LogOptions): void;
  /** Writes all lines that are still held. Do not log anything after that. */
  close(): Promise<void>;
}

const CATEGORY = ["roundhouse"];

/**
 * Tells LogTape that a sink formats each line at once, so that it need not copy the fields first, which takes longer than
 * to format them. Its own sinks have this mark. If it did not know the mark any more, lines would only cost more.
 */
const FORMATS_AT_ONCE = Symbol.for("LogTape.sinkSnapshotPolicy.immediate");

/** Sets up the logging of the process. Lines go to standard error, which is a `terminal` or none. */
export function setUpLog(options: LogOptions, terminal: Terminal): Logging {
  let formatter = formatterFor(options, terminal);
  let logsRequests = includesInfo(options.level);
  const logger = getLogger(CATEGORY);
  // Not LogTape's stream sink: it holds back without limit for a slow reader, and one that is gone ends the process.
  const writer = new LineWriter({
    write: (bytes) => Deno.stderr.write(bytes),
    onDrop: (lines) => logger.warn("log lines dropped", { lines, reason: "standard error is read too slowly" }),
  });
  const stderr = (record: LogRecord) => writer.push(formatter(record));
  const apply = (options: LogOptions) => {
    formatter = formatterFor(options, terminal);
    logsRequests = includesInfo(options.level);
    // Not the asynchronous kind: it fails when it is called again before it is through, as by two reloads in a row.
    configureSync({
      reset: true,
      sinks: { stderr: Object.assign(stderr, { [FORMATS_AT_ONCE]: true }) },
      loggers: [
        { category: CATEGORY, sinks: ["stderr"], lowestLevel: toLogTape(options.level) },
        { category: ["logtape", "meta"], lowestLevel: "fatal" },
      ],
    });
  };
  apply(options);
  const log: Log = {
    debug: (message, fields) => logger.debug(message, fields),
    warn: (message, fields) => logger.warn(message, fields),
    error: (message, fields) => logger.error(message, fields),
    isEnabledFor: (level) => logger.isEnabledFor(level),
    info(message, fields) {
      // A line for a request goes past LogTape, which would take longer than all else about the line.
      if (message !== REQUEST) logger.info(message, fields);
      else if (logsRequests) stderr(requestRecord(fields));
    },
  };
  return { log, configure: apply, close: () => writer.close() };
}

/** What LogTape would pass on of the line for a request. */
function requestRecord(properties: Fields): LogRecord {
  return {
    category: CATEGORY,
    level: "info",
    message: [REQUEST],
    rawMessage: REQUEST,
    timestamp: Date.now(),
    properties,
  };
}

function includesInfo(level: Level): boolean {
  return level === "debug" || level === "info";
}

function toLogTape(level: Level): LogLevel {
  return level === "warn" ? "warning" : level;
}

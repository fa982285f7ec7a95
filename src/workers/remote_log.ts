/** The log of a worker. The control plane writes its lines, so that lines of different workers do not mix. */

import type { Fields, Level, Log } from "../log.ts";
import type { LogLine } from "./messages.ts";

const RANKS = { debug: 0, info: 1, warn: 2, warning: 2, error: 3 } as const;

/**
 * Sends lines of the level and above. Lines of the same moment are sent together, at most a millisecond later. A
 * message for each line would cost 15 µs, which is several times as much.
 */
export class RemoteLog implements Log {
  level: Level;
  readonly #send: (lines: readonly LogLine[]) => void;
  #lines: LogLine[] = [];

  constructor(level: Level, send: (lines: readonly LogLine[]) => void) {
    this.level = level;
    this.#send = send;
  }

  debug(message: string, fields: Fields): void {
    this.#log("debug", message, fields);
  }

  info(message: string, fields: Fields): void {
    this.#log("info", message, fields);
  }

  warn(message: string, fields: Fields): void {
    this.#log("warn", message, fields);
  }

  error(message: string, fields: Fields): void {
    this.#log("error", message, fields);
  }

  isEnabledFor(level: "debug" | "info" | "warning" | "error"): boolean {
    return RANKS[level] >= RANKS[this.level];
  }

  /** Sends the lines that are held back. Call it before any other message, so that all arrive in order. */
  flush(): void {
    if (this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#lines = [];
    this.#send(lines);
  }

  #log(level: Level, message: string, fields: Fields): void {
    if (!this.isEnabledFor(level === "warn" ? "warning" : level)) return;
    if (this.#lines.push({ level, message, fields }) === 1) setTimeout(() => this.flush(), 0);
  }
}

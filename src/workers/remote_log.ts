/** A worker's log: its lines are written by the control plane, so that no two of them mix. */

import type { Fields, Level, Log } from "../log.ts";
import type { LogLine } from "./messages.ts";

const RANKS = { debug: 0, info: 1, warn: 2, warning: 2, error: 3 } as const;

/**
 * Sends lines of the level and above. Those of one moment go together, a millisecond later at most: a message of its own
 * for each would cost 15 µs, several times what is left of it so.
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

  /** Sends what is held back: to be called before anything else is told, so that all arrives in its order. */
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

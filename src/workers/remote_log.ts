/** A worker's log: its lines are written by the control plane, so that no two of them mix. */

import type { Fields, Level, Log } from "../log.ts";
import type { News } from "./messages.ts";

const RANKS = { debug: 0, info: 1, warn: 2, warning: 2, error: 3 } as const;

/** Sends lines of the level and above. */
export class RemoteLog implements Log {
  level: Level;
  readonly #send: (news: News) => void;

  constructor(level: Level, send: (news: News) => void) {
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

  #log(level: Level, message: string, fields: Fields): void {
    if (RANKS[level] >= RANKS[this.level]) this.#send({ type: "log", level, message, fields });
  }
}

/** A log that records its lines, for tests. */

import type { Fields, Log } from "../../src/log.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Fields;
}

/** Records every line. */
export class RecordingLog implements Log {
  readonly lines: LogLine[] = [];

  debug(message: string, fields: Fields): void {
    this.lines.push({ level: "debug", message, fields });
  }
  info(message: string, fields: Fields): void {
    this.lines.push({ level: "info", message, fields });
  }
  warn(message: string, fields: Fields): void {
    this.lines.push({ level: "warn", message, fields });
  }
  error(message: string, fields: Fields): void {
    this.lines.push({ level: "error", message, fields });
  }
  isEnabledFor(): boolean {
    return true;
  }

  /** The lines with this message. */
  of(message: string): LogLine[] {
    return this.lines.filter((line) => line.message === message);
  }
}

/** Draws on a terminal and restores it at the end. */

import { writeOut } from "../output.ts";
import type { Line, Style } from "./layout.ts";

/** Select Graphic Rendition. */
const STYLES: Readonly<Record<Style, string>> = {
  plain: "",
  bold: "1",
  faint: "2",
  good: "32",
  warning: "33",
  bad: "31",
};

const ESC = "\x1b[";
/** Switches to the alternate screen, hides the cursor and turns line wrap off. `LEAVE` restores all three. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`;
const HOME = `${ESC}H`;
const CLEAR_LINE = `${ESC}K`;
const CLEAR_BELOW = `${ESC}J`;

/** The text of a frame: lines are cut at the width, and the previous frame is cleared. */
export function frame(lines: readonly Line[], columns: number, hasColour: boolean): string {
  const rows = lines.map((line) => renderLine(line, columns, hasColour) + CLEAR_LINE);
  return HOME + rows.join("\r\n") + CLEAR_BELOW;
}

function renderLine(line: Line, columns: number, hasColour: boolean): string {
  let room = columns;
  let text = "";
  for (const { text: whole, style = "plain" } of line) {
    const piece = whole.slice(0, Math.max(0, room));
    room -= piece.length;
    const code = hasColour ? STYLES[style] : "";
    text += code === "" || piece === "" ? piece : `${ESC}${code}m${piece}${ESC}0m`;
  }
  return text;
}

/** The terminal on standard output. Always call `close()`. */
export class Screen {
  readonly #hasColour: boolean;
  #isOpen = false;

  /** `hasColour`: whether attributes and colours may be used (not if `NO_COLOR` is set). */
  constructor(hasColour: boolean) {
    this.#hasColour = hasColour;
  }

  get size(): { readonly rows: number; readonly columns: number } {
    return Deno.consoleSize();
  }

  /** Switches to the screen. Keys are not echoed; Ctrl-C still sends a signal. */
  open(): void {
    this.#isOpen = true;
    if (Deno.stdin.isTerminal()) Deno.stdin.setRaw(true, { cbreak: true });
    writeOut(ENTER);
  }

  draw(lines: readonly Line[]): void {
    const { rows, columns } = this.size;
    writeOut(frame(lines.slice(0, rows), columns, this.#hasColour));
  }

  /** Resolves when `key` was pressed; never where keys do not come from a terminal. */
  async pressed(key: string): Promise<void> {
    if (!Deno.stdin.isTerminal()) return await new Promise<never>(() => {});
    const buffer = new Uint8Array(64);
    for (let count = await Deno.stdin.read(buffer); count !== null; count = await Deno.stdin.read(buffer)) {
      if (new TextDecoder().decode(buffer.subarray(0, count)).toLowerCase().includes(key)) return;
    }
  }

  /** May be called more than once. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    writeOut(LEAVE);
    if (Deno.stdin.isTerminal()) Deno.stdin.setRaw(false);
  }
}

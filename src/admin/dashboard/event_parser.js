/** Parses server-sent events from text that arrives in pieces (HTML standard, 9.2.6). */

/**
 * @typedef {object} ServerEvent
 * @property {string} type `message` where the stream names none
 * @property {string} data
 * @property {string} lastEventId of the last event that carried one, so far; empty before
 */

/** Takes pieces of a stream and returns the events that are complete. */
export class EventParser {
  /** The line that is still arriving. */
  #rest = "";
  #type = "";
  /** @type {string[]} */
  #data = [];
  #id = "";
  #lastEventId = "";
  #isFirst = true;
  /** Whether the last piece ended in CR. An LF at the start of the next one belongs to it. */
  #endedInCr = false;

  /**
   * @param {string} text
   * @returns {ServerEvent[]}
   */
  push(text) {
    if (text === "") return [];
    let piece = text;
    if (this.#isFirst && piece.startsWith("\uFEFF")) piece = piece.slice(1);
    this.#isFirst = false;
    if (this.#endedInCr && piece.startsWith("\n")) piece = piece.slice(1);
    this.#endedInCr = text.endsWith("\r");
    const lines = (this.#rest + piece).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  /**
   * @param {string} line
   * @returns {ServerEvent[]}
   */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return []; // a comment
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return [];
  }

  /** @returns {ServerEvent[]} */
  #dispatch() {
    this.#lastEventId = this.#id;
    const event = { type: this.#type || "message", data: this.#data.join("\n"), lastEventId: this.#lastEventId };
    const isEmpty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    return isEmpty ? [] : [event];
  }
}

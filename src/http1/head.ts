/** What requests and responses share: where a head ends, and its field lines (RFC 9112 §2 and §5). */

import type { Buffer } from "node:buffer";
import { COLON, CR, HTAB, isTokenCharacter, isValueCharacter, LF, SP } from "./characters.ts";
import { MalformedMessage } from "./malformed.ts";

/** One field line: the name as it was spelled, the value without the spaces around it. */
export type Field = [name: string, value: string];

/**
 * Returns where the head that begins at `start` ends, behind its empty line; -1 while that has not come.
 *
 * @param from how far earlier calls have looked: what came before is not looked at again
 * @throws {MalformedMessage} at a line that ends in LF alone
 */
export function findHeadEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    if (bytes[at] !== LF) continue;
    if (at === start || bytes[at - 1] !== CR) throw new MalformedMessage("a line ends without CR");
    if (at - start >= 3 && bytes[at - 2] === LF) return at + 1;
  }
  return -1;
}

/** A head as text, each byte a character (ISO 8859-1), so that no byte is lost. */
export function headText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("latin1", start, end);
}

/**
 * Reads the field lines of a head from `at` to its empty line.
 *
 * @param text a whole head, with its empty line
 * @param mostFields more are refused
 * @throws {MalformedMessage}
 */
export function readFields(text: string, at: number, mostFields: number): Field[] {
  const fields: Field[] = [];
  const end = text.length - 2;
  while (at < end) {
    const nameAt = at;
    while (isTokenCharacter(text.charCodeAt(at))) at++;
    if (at === nameAt || text.charCodeAt(at) !== COLON) throw new MalformedMessage(nameProblem(text, nameAt, at));
    const name = text.slice(nameAt, at++);
    while (isSpace(text.charCodeAt(at))) at++;
    const valueAt = at;
    while (isValueCharacter(text.charCodeAt(at))) at++;
    let valueEnd = at;
    while (valueEnd > valueAt && isSpace(text.charCodeAt(valueEnd - 1))) valueEnd--;
    at = behindLine(text, at);
    if (fields.length === mostFields) throw new MalformedMessage("too many header fields", { tooLarge: true });
    fields.push([name, text.slice(valueAt, valueEnd)]);
  }
  return fields;
}

/** Steps over the CR and LF at `at`. */
export function behindLine(text: string, at: number): number {
  if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) {
    throw new MalformedMessage("a control character in the head");
  }
  return at + 2;
}

function isSpace(code: number): boolean {
  return code === SP || code === HTAB;
}

function nameProblem(text: string, nameAt: number, at: number): string {
  if (at > nameAt) return "a header field's name is not followed by a colon";
  return isSpace(text.charCodeAt(at)) ? "a header line is folded" : "a header field's name is malformed";
}

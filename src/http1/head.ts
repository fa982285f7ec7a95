/** Finds the end of a head and reads its field lines, for requests and responses (RFC 9112 §2 and §5). */

import type { Buffer } from "node:buffer";
import { COLON, CR, isSpace, isTokenCharacter, isValueCharacter, LF } from "./characters.ts";
import { MalformedMessage } from "./malformed.ts";

/** One field line: the name as it was sent, and the value without the spaces around it. */
export type Field = [name: string, value: string];

/** The fields of a head, and the text of the head. */
export interface FieldSection {
  readonly fields: readonly Field[];
  /** The whole head. */
  readonly text: string;
  /** Positions in `text`: where the first field line begins, then where each field line ends. */
  readonly bounds: readonly number[];
}

/**
 * Returns the position after the empty line of the head that begins at `start`; -1: the empty line has not arrived yet.
 *
 * @param from where earlier calls stopped. Bytes before it are not searched again
 * @throws {MalformedMessage} if a line ends in LF alone and the head is not complete. If it is complete, reading it
 * fails
 */
export function findHeadEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  const found = behindEmptyLine(bytes, start, from, end);
  if (found === -1) refuseBareLf(bytes, start, from, end);
  return found;
}

/**
 * Like `findHeadEnd`, for the head of a response. Lines may end in LF alone, because some servers send that (RFC 9112
 * §2.2).
 */
export function findResponseHeadEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  const found = behindEmptyLine(bytes, start, from, end);
  return found === -1 ? behindLooseEmptyLine(bytes, start, from, end) : found;
}

/**
 * Returns where the first empty line ends, whether lines end in CR LF or in LF alone. If the head's lines end in LF
 * alone, the body may contain CR LF CR LF: only this function finds the end of the head itself.
 */
export function behindLooseEmptyLine(bytes: Uint8Array, start: number, from: number, end: number): number {
  for (let at = Math.max(from, start + 1); at < end; at++) {
    if (bytes[at] !== LF) continue;
    const lineEnd = bytes[at - 1] === CR ? at - 2 : at - 1;
    if (lineEnd >= start && bytes[lineEnd] === LF) return at + 1;
  }
  return -1;
}

function behindEmptyLine(bytes: Uint8Array, start: number, from: number, end: number): number {
  // A byte other than CR and LF can't be part of the four bytes CR LF CR LF, so the next end to look at is four bytes
  // later.
  let at = Math.max(from, start + 3);
  while (at < end) {
    const code = bytes[at] ?? 0;
    if (code > CR) at += 4;
    else if (code === CR) at += 1;
    else if (code !== LF) at += 4;
    else if (bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at + 1;
    else at += 2;
  }
  return -1;
}

/**
 * Refuses a line that ends in LF alone. A client that ends its lines in this way would otherwise wait until a timeout.
 */
function refuseBareLf(bytes: Uint8Array, start: number, from: number, end: number): void {
  for (let at = from; at < end; at++) {
    if (bytes[at] === LF && (at === start || bytes[at - 1] !== CR)) {
      throw new MalformedMessage("a line ends without CR");
    }
  }
}

/** A head as text. Each byte becomes one character (ISO 8859-1), so that no byte is lost. */
export function headText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("latin1", start, end);
}

/**
 * Reads the field lines of a head from `at` to its empty line.
 *
 * @param bytes contain a whole head, with its empty line, from `start`
 * @param text the same head as text. Names and values are cut from it. Characters are checked in `bytes`, which costs
 * half as much
 * @param mostFields the largest number of fields; more are refused
 * @throws {MalformedMessage}
 */
export function readFields(
  bytes: Uint8Array,
  start: number,
  text: string,
  at: number,
  mostFields: number,
): FieldSection {
  const fields: Field[] = [];
  const bounds = [at - start];
  const end = start + text.length - 2;
  while (at < end) {
    const nameAt = at;
    while (isTokenCharacter(bytes[at] ?? 0)) at++;
    if (at === nameAt || bytes[at] !== COLON) throw new MalformedMessage(nameProblem(bytes, nameAt, at));
    const name = text.slice(nameAt - start, at - start);
    do at++; while (isSpace(bytes[at]));
    const valueAt = at;
    while (isValueCharacter(bytes[at] ?? 0)) at++;
    let valueEnd = at;
    while (valueEnd > valueAt && isSpace(bytes[valueEnd - 1])) valueEnd--;
    at = behindLine(bytes, at);
    if (fields.length === mostFields) throw new MalformedMessage("too many header fields", { tooLarge: true });
    fields.push([name, text.slice(valueAt - start, valueEnd - start)]);
    bounds.push(at - start);
  }
  return { fields, text, bounds };
}

/** Returns the position after the CR and LF at `at`. */
export function behindLine(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== CR || bytes[at + 1] !== LF) {
    throw new MalformedMessage("a control character in the head");
  }
  return at + 2;
}

function nameProblem(bytes: Uint8Array, nameAt: number, at: number): string {
  if (at > nameAt) return "a header field's name is not followed by a colon";
  return isSpace(bytes[at]) ? "a header line is folded" : "a header field's name is malformed";
}

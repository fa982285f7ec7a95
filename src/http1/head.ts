/** What requests and responses share: where a head ends, and its field lines (RFC 9112 §2 and §5). */

import type { Buffer } from "node:buffer";
import { COLON, CR, isSpace, isTokenCharacter, isValueCharacter, LF } from "./characters.ts";
import { MalformedMessage } from "./malformed.ts";

/** One field line: the name as it was spelled, the value without the spaces around it. */
export type Field = [name: string, value: string];

/** A head's fields, and the text that they stand in. */
export interface FieldSection {
  readonly fields: readonly Field[];
  /** The whole head. */
  readonly text: string;
  /** In `text`: where the first line begins, then where each ends. */
  readonly bounds: readonly number[];
}

/**
 * Returns where the head that begins at `start` ends, behind its empty line; -1 while that has not come.
 *
 * @param from how far earlier calls have looked: what came before is not looked at again
 * @throws {MalformedMessage} at a line that ends in LF alone, unless the head is whole: then whoever reads it refuses it
 */
export function findHeadEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  const found = behindEmptyLine(bytes, start, from, end);
  if (found === -1) refuseBareLf(bytes, start, from, end);
  return found;
}

/** As `findHeadEnd`, for the head of a response: lines may end in LF alone, as some servers write them (RFC 9112 §2.2). */
export function findResponseHeadEnd(bytes: Uint8Array, start: number, from: number, end: number): number {
  const found = behindEmptyLine(bytes, start, from, end);
  return found === -1 ? behindLooseEmptyLine(bytes, start, from, end) : found;
}

/**
 * Where the first empty line ends, whatever ends lines. Where LF alone does, a body may hold what looks like the end of a
 * head: only this finds the head's own.
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
  // CR LF CR LF are four bytes, so that a byte which is none of these rules out every place that covers it.
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

/** Else a client that ends its lines so, and now waits for an answer, would do so until a timeout. */
function refuseBareLf(bytes: Uint8Array, start: number, from: number, end: number): void {
  for (let at = from; at < end; at++) {
    if (bytes[at] === LF && (at === start || bytes[at - 1] !== CR)) {
      throw new MalformedMessage("a line ends without CR");
    }
  }
}

/** A head as text, each byte a character (ISO 8859-1), so that no byte is lost. */
export function headText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("latin1", start, end);
}

/**
 * Reads the field lines of a head, which begin at `at`, to its empty line.
 *
 * @param bytes hold a whole head, with its empty line, from `start`
 * @param text the same head. Characters are looked at in `bytes`, at half the cost, and names and values cut from here
 * @param mostFields more are refused
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

/** Steps over the CR and LF at `at`. */
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

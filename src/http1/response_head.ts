/** Reads the head of a response (RFC 9112 §4). */

import { Buffer } from "node:buffer";
import { type BodyFraming, NO_BODY, UNTIL_CLOSE } from "./body.ts";
import { CR, isValueCharacter, SP } from "./characters.ts";
import { controlFields } from "./control_fields.ts";
import { behindLine, behindLooseEmptyLine, type FieldSection, headText, readFields } from "./head.ts";
import { MalformedMessage } from "./malformed.ts";
import { readMinorVersion } from "./request_head.ts";

export interface Http1Response extends FieldSection {
  /** 100 to 999. */
  readonly status: number;
  /** The reason phrase, as the server sent it. */
  readonly reason: string;
  /** The length of the head in bytes. */
  readonly bytes: number;
  readonly framing: BodyFraming;
  /** Whether the server keeps the connection. */
  readonly keepAlive: boolean;
  /** The protocol that a 101 switches to. */
  readonly upgrade: string | undefined;
}

/**
 * Reads a response's head. Lines that end in LF alone are accepted; in `text` they end in CR LF.
 *
 * @param bytes contain a whole head, with its empty line, from `start` to `end`
 * @param method the method of the request. A response to HEAD has no body
 * @throws {MalformedMessage}
 */
export function readResponseHead(bytes: Buffer, start: number, end: number, method: string): Http1Response {
  try {
    return readWellFormed(bytes, start, end, method);
  } catch (error) {
    const looseEnd = error instanceof MalformedMessage ? behindLooseEmptyLine(bytes, start, start, end) : -1;
    if (looseEnd === -1) throw error;
    const given = headText(bytes, start, looseEnd);
    const text = given.replace(/\r?\n/g, "\r\n");
    if (text === given) throw error;
    const mended = Buffer.from(text, "latin1");
    return { ...readWellFormed(mended, 0, mended.length, method), bytes: looseEnd - start };
  }
}

function readWellFormed(bytes: Buffer, start: number, end: number, method: string): Http1Response {
  if (bytes[end - 4] !== CR || bytes[end - 2] !== CR) throw new MalformedMessage("a line ends without CR");
  const text = headText(bytes, start, end);
  const minorVersion = readMinorVersion(text, 0);
  if (text.charCodeAt(8) !== SP) throw new MalformedMessage("the status line is malformed");
  const status = readStatus(text);
  let at = start + 12;
  if (bytes[at] === SP) at++;
  else if (bytes[at] !== CR) throw new MalformedMessage("the status is malformed");
  const reasonAt = at;
  while (isValueCharacter(bytes[at] ?? 0)) at++;
  const reason = text.slice(reasonAt - start, at - start);
  const { fields, bounds } = readFields(bytes, start, text, behindLine(bytes, at), Infinity);
  const control = controlFields(fields, minorVersion, "server");
  const bodyless = method === "HEAD" || status < 200 || status === 204 || status === 304;
  return {
    status,
    reason,
    fields,
    text,
    bounds,
    bytes: end - start,
    framing: bodyless ? NO_BODY : control.framing ?? UNTIL_CLOSE,
    keepAlive: minorVersion === 1 ? !control.close : control.keepAlive && !control.close,
    upgrade: control.upgrade ? control.protocol : undefined,
  };
}

function readStatus(text: string): number {
  let status = 0;
  for (let at = 9; at < 12; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) throw new MalformedMessage("the status is malformed");
    status = status * 10 + digit;
  }
  if (status < 100) throw new MalformedMessage("the status is below 100");
  return status;
}

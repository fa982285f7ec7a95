/** Reads the head of a request (RFC 9112 §3). */

import type { Buffer } from "node:buffer";
import { type BodyFraming, NO_BODY } from "./body.ts";
import { isTargetCharacter, isTokenCharacter, SP } from "./characters.ts";
import { controlFields } from "./control_fields.ts";
import { behindLine, type FieldSection, headText, readFields } from "./head.ts";
import { MalformedMessage } from "./malformed.ts";

export interface Http1Request extends FieldSection {
  readonly method: string;
  /**
   * In origin form, `*` for OPTIONS of the whole server, or the target of CONNECT. The bytes are as the client sent
   * them.
   */
  readonly target: string;
  /** The authority of a target in absolute form, otherwise `Host`. `undefined`: there is neither. */
  readonly authority: string | undefined;
  /** 0 or 1. */
  readonly minorVersion: number;
  readonly framing: BodyFraming;
  /** Whether the client wants to keep its connection. */
  readonly keepAlive: boolean;
  /** The protocol that the client wants to switch to; `undefined`: none. */
  readonly upgrade: string | undefined;
}

/** The largest number of fields in a request. No client needs more; HAProxy has a similar limit. */
export const MOST_REQUEST_FIELDS = 128;

/**
 * Reads a request's head.
 *
 * @param bytes contain a whole head, with its empty line, from `start` to `end`
 * @param needsHost whether to refuse HTTP/1.1 without `Host`. If not, the caller must do that
 * @throws {MalformedMessage}
 */
export function readRequestHead(bytes: Buffer, start: number, end: number, needsHost = true): Http1Request {
  const text = headText(bytes, start, end);
  let at = start;
  while (isTokenCharacter(bytes[at] ?? 0)) at++;
  if (at === start || bytes[at] !== SP) throw new MalformedMessage("the method is malformed");
  const method = text.slice(0, at - start);
  const targetAt = ++at;
  while (isTargetCharacter(bytes[at] ?? 0)) at++;
  if (at === targetAt || bytes[at] !== SP) throw new MalformedMessage("the request target is malformed");
  const rawTarget = text.slice(targetAt - start, at - start);
  const minorVersion = readMinorVersion(text, at + 1 - start);
  const { fields, bounds } = readFields(bytes, start, text, behindLine(bytes, at + 9), MOST_REQUEST_FIELDS);
  const control = controlFields(fields, minorVersion, "client");
  if (needsHost && minorVersion === 1 && control.host === undefined) {
    throw new MalformedMessage("the Host header is missing");
  }
  const { target, authority } = readTarget(method, rawTarget);
  return {
    method,
    target,
    authority: authority ?? control.host,
    minorVersion,
    fields,
    text,
    bounds,
    framing: control.framing ?? NO_BODY,
    keepAlive: minorVersion === 1 ? !control.close : control.keepAlive && !control.close,
    upgrade: minorVersion === 1 && control.upgrade ? control.protocol : undefined,
  };
}

/**
 * Refuses bytes that can't be the beginning of a request, such as a TLS handshake, before the whole head has arrived.
 *
 * @throws {MalformedMessage}
 */
export function checkBeginning(bytes: Uint8Array, start: number, end: number): void {
  const longest = Math.min(end, start + 32);
  for (let at = start; at < longest; at++) {
    const code = bytes[at] ?? 0;
    if (code === SP && at > start) return;
    if (!isTokenCharacter(code)) throw new MalformedMessage("the method is malformed");
  }
}

/** Returns the `x` of `HTTP/1.x`, which must be at `at` of a request line or status line. */
export function readMinorVersion(text: string, at: number): 0 | 1 {
  if (text.startsWith("HTTP/1.1", at)) return 1;
  if (text.startsWith("HTTP/1.0", at)) return 0;
  throw new MalformedMessage("the protocol version is not HTTP/1.1 or HTTP/1.0");
}

/** Reads a target in any of the four forms of RFC 9112 §3.2. */
function readTarget(method: string, target: string): { readonly target: string; readonly authority?: string } {
  if (target.charCodeAt(0) === 0x2f) return { target };
  if (method === "CONNECT") return { target };
  if (target === "*") {
    if (method !== "OPTIONS") throw new MalformedMessage("only OPTIONS may have the target *");
    return { target };
  }
  const scheme = target.slice(0, target.indexOf(":")).toLowerCase();
  if ((scheme !== "http" && scheme !== "https") || !target.startsWith("//", scheme.length + 1)) {
    throw new MalformedMessage("the request target is malformed");
  }
  const authorityAt = scheme.length + 3;
  let pathAt = authorityAt;
  while (pathAt < target.length && !isPathStart(target.charCodeAt(pathAt))) pathAt++;
  const path = target.slice(pathAt);
  // OPTIONS without a path is about the whole server (RFC 9112 §3.2.4).
  const origin = path.startsWith("/") ? path : path === "" && method === "OPTIONS" ? "*" : `/${path}`;
  return { target: origin, authority: target.slice(authorityAt, pathAt) };
}

/** `/` or `?`. */
function isPathStart(code: number): boolean {
  return code === 0x2f || code === 0x3f;
}

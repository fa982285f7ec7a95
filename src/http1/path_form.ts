/** The two forms in which paths are compared: the plain one decides, the loose one shows what else a path could mean. */

import { hexValue } from "./characters.ts";

const PERCENT = 0x25;
const SLASH = 0x2f;

/** Where the path of a target ends and its query begins. */
export function pathEnd(target: string): number {
  const query = target.indexOf("?");
  return query === -1 ? target.length : query;
}

/**
 * Returns the path with unreserved characters decoded and the hexadecimal digits of all other escapes in capitals
 * (RFC 3986 §6.2.2). Two paths that differ only in this are the same for every recipient.
 */
export function plainForm(path: string): string {
  let at = path.indexOf("%");
  if (at === -1) return path; // nearly always
  let plain = path.slice(0, at);
  while (at !== -1) {
    const code = escapedAt(path, at);
    const behind = code === -1 ? at + 1 : at + 3;
    if (code === -1) plain += "%";
    else plain += isUnreserved(code) ? String.fromCharCode(code) : path.slice(at, behind).toUpperCase();
    at = path.indexOf("%", behind);
    plain += path.slice(behind, at === -1 ? path.length : at);
  }
  return plain;
}

/** Whether a path may mean something else to a backend than its plain form says: only then is there a loose form. */
export function hasLooseForm(path: string, end = path.length): boolean {
  let before = 0;
  for (let index = 0; index < end; index++) {
    const code = path.charCodeAt(index);
    if (code === PERCENT || code === 0x5c) return true; // "\"
    if (before === SLASH && (code === SLASH || code === 0x2e)) return true; // "//" and "/."
    before = code;
  }
  return false;
}

/**
 * Returns the path as the most lenient backend would read it: every escape decoded, `\` taken for `/`, parameters cut off
 * dot segments, slashes merged and dots resolved (RFC 3986 §5.2.4). Two paths that some backend may take for the same one
 * have the same loose form.
 */
export function looseForm(path: string): string {
  const segments: string[] = [];
  let isFolder = true;
  for (const segment of decoded(path).replaceAll("\\", "/").split("/")) {
    const name = withoutParameters(segment);
    if (name === "..") segments.pop();
    else if (name !== "." && name !== "") segments.push(segment);
    isFolder = name === ".." || name === "." || name === "";
  }
  const joined = `/${segments.join("/")}`;
  return isFolder && segments.length > 0 ? `${joined}/` : joined;
}

/** Whether an escape of the path stands for NUL, at which some backends end the path. */
export function holdsNul(path: string): boolean {
  return path.includes("%00");
}

function decoded(path: string): string {
  let at = path.indexOf("%");
  if (at === -1) return path;
  let text = path.slice(0, at);
  while (at !== -1) {
    const code = escapedAt(path, at);
    const behind = code === -1 ? at + 1 : at + 3;
    text += code === -1 ? "%" : String.fromCharCode(code);
    at = path.indexOf("%", behind);
    text += path.slice(behind, at === -1 ? path.length : at);
  }
  return text;
}

/** `..;x=1` means `..` to servlet containers. Other segments keep their parameters. */
function withoutParameters(segment: string): string {
  const semicolon = segment.indexOf(";");
  const name = semicolon === -1 ? segment : segment.slice(0, semicolon);
  return name === "." || name === ".." ? name : segment;
}

/** The value of the escape that begins at `at`; -1: it is malformed. */
function escapedAt(path: string, at: number): number {
  const high = hexValue(path.charCodeAt(at + 1));
  const low = hexValue(path.charCodeAt(at + 2));
  return high === -1 || low === -1 ? -1 : high * 16 + low;
}

/** RFC 3986 §2.3. */
function isUnreserved(code: number): boolean {
  const letter = code | 0x20;
  return (letter >= 0x61 && letter <= 0x7a && code < 0x80) || (code >= 0x30 && code <= 0x39) || code === 0x2d ||
    code === 0x2e || code === 0x5f || code === 0x7e;
}

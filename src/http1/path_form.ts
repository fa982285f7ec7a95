/**
 * The two forms in which paths are compared. The plain form decides. The loose form shows what else a path could mean.
 */

import { hexValue } from "./characters.ts";

const PERCENT = 0x25;
const SLASH = 0x2f;

/** Returns where the path of a target ends and its query begins. */
export function pathEnd(target: string): number {
  const query = target.indexOf("?");
  return query === -1 ? target.length : query;
}

/**
 * Returns the path with unreserved characters decoded, and with all other escapes in upper case (RFC 3986 §6.2.2).
 * Paths that differ only in this are the same for all recipients.
 */
export function plainForm(path: string): string {
  let at = path.indexOf("%");
  if (at === -1) return path; // the usual case
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

/** Whether a backend could read a path differently from its plain form. Only then is there a loose form. */
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
 * Returns the path as the most lenient backend would read it. All escapes are decoded, `\` counts as `/`, dot segments
 * lose their parameters, slashes are merged, and dot segments are resolved (RFC 3986 §5.2.4). If a backend could read
 * two paths as the same one, they have the same loose form.
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

/**
 * Whether backends that resolve dot segments could come to several paths, and so to others than the loose form. In
 * `/public/a%2fb/../../admin`, whoever takes `%2f` for a slash goes two levels down before going two up. Whoever does not
 * goes one down. The same holds for `\\` and `%5c`, for an empty segment, and for dot segments that only some see as such.
 */
export function resolvesInSeveralWays(path: string): boolean {
  const segments = decoded(path).replaceAll("\\", "/").split("/");
  if (!segments.some((segment) => withoutParameters(segment) === "..")) return false;
  const last = segments.length - 1;
  return path.includes("\\") || /%(?:2[ef]|5c)/i.test(path) ||
    segments.some((segment, index) =>
      segment === "" ? index > 0 && index < last : withoutParameters(segment) !== segment
    );
}

/** Whether the path has an escaped NUL. Some backends end the path there. */
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

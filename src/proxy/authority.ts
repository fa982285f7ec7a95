/** Checks the value of a `Host` header (RFC 9112 §3.2, RFC 3986 §3.2.2). */

/**
 * Returns whether `text` is a host with an optional port. The host is a name, an IPv4 address, or an IPv6 address in
 * brackets. The check is lenient about names, because some contain `_`. It is strict about everything that could be
 * read as more than a host.
 */
export function isWellFormedAuthority(text: string): boolean {
  const end = text.charCodeAt(0) === 0x5b ? text.indexOf("]") + 1 : hostEnd(text);
  if (end === 0 || (text.charCodeAt(0) === 0x5b && !isIpv6Literal(text, end))) return false;
  if (end === text.length) return true;
  if (text.charCodeAt(end) !== 0x3a) return false;
  for (let index = end + 1; index < text.length; index++) {
    if (!isDigit(text.charCodeAt(index))) return false;
  }
  return text.length - end <= 6; // a colon and at most five digits
}

const DOT = 0x2e;

/** The other unreserved characters, escapes and sub-delimiters of RFC 3986. */
const OTHERS = "-_~%!$&'()*+,;=";

/** Returns where the host name ends: at the first character that can't be part of one. */
function hostEnd(text: string): number {
  let index = 0;
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    if (!letter && !isDigit(code) && code !== DOT && !OTHERS.includes(text.charAt(index))) break;
  }
  return index;
}

/** Whether there are only hexadecimal digits, colons and dots between the brackets. */
function isIpv6Literal(text: string, end: number): boolean {
  for (let index = 1; index < end - 1; index++) {
    const code = text.charCodeAt(index);
    const hex = isDigit(code) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
    if (!hex && code !== 0x3a && code !== 0x2e) return false;
  }
  return end > 3;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Classes of characters (RFC 9110 §5.5 and §5.6.2). They are tables, because a look-up takes half a nanosecond. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const QUOTE = 0x22;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const BACKSLASH = 0x5c;

function table(contains: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => contains(code) ? 1 : 0);
}

/** Characters of field names and methods. */
const TOKEN = table((code) => /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(code)));

/** Characters of field values: visible characters, spaces, tabs and all from 0x80. */
const VALUE = table((code) => code === HTAB || (code >= SP && code !== 0x7f));

/**
 * Characters of a request target: visible ASCII without `#`. That begins the fragment of a URL, which is never sent.
 */
const TARGET = table((code) => code > SP && code < 0x7f && code !== 0x23);

export function isTokenCharacter(code: number): boolean {
  return TOKEN[code] === 1;
}

export function isValueCharacter(code: number): boolean {
  return VALUE[code] === 1;
}

export function isTargetCharacter(code: number): boolean {
  return TARGET[code] === 1;
}

/** Whether this is a space or a tab. Both are allowed around values and around members of lists. */
export function isSpace(code: number | undefined): boolean {
  return code === SP || code === HTAB;
}

/** The value of a hexadecimal digit; -1 for anything else. */
export function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

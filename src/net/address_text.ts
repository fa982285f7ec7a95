/**
 * Reads IP addresses as they stand in requests. A request is compared with ranges and limits by its address, and the
 * library takes longer to parse one than all other work on the request's headers.
 */

/** What `ipv4Number` returns for any other text. */
export const NOT_IPV4 = -1;

/** The 16-bit groups of an IPv6 address. */
export const IPV6_GROUPS = 8;

/** Eight groups of four digits, with colons between them. */
const LONGEST_IPV6 = 39;

const COLON = 0x3a;
const ASCII = 128;
const NO_DIGIT = -1;

/** The value of each ASCII character as a hexadecimal digit. */
const HEX_DIGITS = Int8Array.from({ length: ASCII }, (_, code) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase());
  return digit === -1 ? NO_DIGIT : digit;
});

/** The 32 bits of an IPv4 address in its only spelling: four numbers up to 255 without leading zeros. */
export function ipv4Number(text: string): number {
  const { length } = text;
  if (length > 15) return NOT_IPV4;
  let address = 0;
  let parts = 1;
  let digits = 0;
  let number = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x2e) {
      if (digits === 0 || parts === 4) return NOT_IPV4;
      address = address * 256 + number;
      parts++;
      digits = number = 0;
      continue;
    }
    if (code < 0x30 || code > 0x39 || (digits > 0 && number === 0)) return NOT_IPV4;
    digits++;
    number = number * 10 + code - 0x30;
    if (number > 255) return NOT_IPV4;
  }
  return parts === 4 && digits > 0 ? address * 256 + number : NOT_IPV4;
}

/**
 * Reads an IPv6 address into its groups. Returns whether it could: an address that ends in an IPv4 address, or names a
 * zone, is left to the library.
 */
export function readIpv6(text: string, groups: Uint16Array): boolean {
  const { length } = text;
  if (length > LONGEST_IPV6) return false;
  let count = 0;
  let gap = -1; // how many groups stand before "::"
  let digits = 0;
  let number = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    const digit = code < ASCII ? HEX_DIGITS[code] ?? NO_DIGIT : NO_DIGIT;
    if (digit !== NO_DIGIT) {
      if (++digits > 4) return false;
      number = number << 4 | digit;
      continue;
    }
    if (code !== COLON) return false;
    if (digits > 0) {
      if (count === IPV6_GROUPS) return false;
      groups[count++] = number;
      digits = number = 0;
      if (text.charCodeAt(at + 1) !== COLON) continue;
      at++;
    } else if (at !== 0 || text.charCodeAt(++at) !== COLON) return false;
    if (gap !== -1) return false;
    gap = count;
  }
  if (digits > 0) {
    if (count === IPV6_GROUPS) return false;
    groups[count++] = number;
  } else if (gap !== count) return false;
  return gap === -1 ? count === IPV6_GROUPS : widen(groups, count, gap);
}

/** Puts zeros where "::" stands, for at least one group. */
function widen(groups: Uint16Array, count: number, gap: number): boolean {
  if (count >= IPV6_GROUPS) return false;
  let to = IPV6_GROUPS;
  while (count > gap) groups[--to] = groups[--count] ?? 0;
  while (to > gap) groups[--to] = 0;
  return true;
}

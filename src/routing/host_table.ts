/** Finds what is configured for a host: the exact name first, else the longest wildcard, else what any host gets. */

import type { HostPattern } from "../config/routes/route_key.ts";

const DOT = 0x2e;
const COLON = 0x3a;
const CLOSING_BRACKET = 0x5d;

interface Cell<Value> {
  readonly text: string;
  readonly value: Value;
}

/**
 * Built once for a configuration. A look-up reads the authority once, from its end, and keeps a hash of what it has read:
 * at each dot the wildcards and at the beginning the names with that hash are compared. So it costs the length of the host,
 * however many there are, and allocates nothing.
 */
export class HostTable<Value> {
  readonly #exact = new Map<number, Cell<Value>[]>();
  readonly #wildcards = new Map<number, Cell<Value>[]>();
  #any: Value | undefined;

  /** Names and suffixes are in lower case, and no two patterns are the same. */
  constructor(entries: Iterable<readonly [HostPattern, Value]>) {
    for (const [pattern, value] of entries) {
      if (pattern.kind === "any") this.#any = value;
      else if (pattern.kind === "exact") add(this.#exact, pattern.name, value);
      else add(this.#wildcards, pattern.suffix, value);
    }
  }

  /** @param authority a well-formed host, with or without a port; its case and a dot at its end make no difference */
  find(authority: string): Value | undefined {
    const end = hostEnd(authority);
    const hasWildcards = this.#wildcards.size > 0;
    let wildcard: Cell<Value> | undefined;
    let hash = 0;
    for (let index = end - 1; index >= 0; index--) {
      const code = lowered(authority.charCodeAt(index));
      hash = (Math.imul(hash, 31) + code) | 0;
      if (code === DOT && index > 0 && hasWildcards) {
        wildcard = among(this.#wildcards.get(hash), authority, index, end) ?? wildcard; // the longest is met last
      }
    }
    const exact = among(this.#exact.get(hash), authority, 0, end);
    return (exact ?? wildcard)?.value ?? this.#any;
  }
}

/** Where the host ends: before its port, and before the dot that makes a name absolute (RFC 3986 §3.2.2). */
function hostEnd(authority: string): number {
  let end = authority.length;
  for (let index = end - 1; index >= 0; index--) {
    const code = authority.charCodeAt(index);
    if (code === CLOSING_BRACKET) break;
    if (code !== COLON) continue;
    end = index;
    break;
  }
  return end > 1 && authority.charCodeAt(end - 1) === DOT ? end - 1 : end;
}

function add<Value>(table: Map<number, Cell<Value>[]>, text: string, value: Value): void {
  let hash = 0;
  for (let index = text.length - 1; index >= 0; index--) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  const cells = table.get(hash);
  if (cells === undefined) table.set(hash, [{ text, value }]);
  else cells.push({ text, value });
}

function among<Value>(
  cells: readonly Cell<Value>[] | undefined,
  authority: string,
  start: number,
  end: number,
): Cell<Value> | undefined {
  if (cells === undefined) return undefined;
  for (const cell of cells) if (isSame(cell.text, authority, start, end)) return cell;
  return undefined;
}

function isSame(text: string, authority: string, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== lowered(authority.charCodeAt(start + index))) return false;
  }
  return true;
}

function lowered(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}

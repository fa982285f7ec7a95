/** `stripPrefix` and `addPrefix`: the target that a backend gets. */

import { climbsOut } from "../http1/climbs_out.ts";
import { pathEnd, plainForm } from "../http1/path_form.ts";

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const PERCENT = 0x25;

/** The prefixes of an entry. */
export interface Prefixes {
  readonly stripPrefix: string | null;
  readonly addPrefix: string | null;
}

/** Cuts a prefix off the path, and puts another one before it. */
export class PathRewrite {
  /** What is cut off, in its plain form and without a slash at its end; empty: nothing. */
  readonly stripped: string;
  readonly #added: string;

  constructor({ stripPrefix, addPrefix }: Prefixes) {
    this.stripped = withoutSlash(plainForm(stripPrefix ?? ""));
    this.#added = withoutSlash(addPrefix ?? "");
  }

  /**
   * Returns the target for the backend; `undefined`: its path could lead above what is left of it, or out of what is
   * put before it.
   *
   * @param target in origin form, with a path that begins with the stripped prefix; or `*`, which stays as it is
   */
  apply(target: string): string | undefined {
    if (target === "*") return target;
    const rest = this.stripped === "" ? target : restOf(target, this.stripped.length);
    return climbsOut(rest) ? undefined : this.#added + rest;
  }
}

/** Returns the rewriting of an entry; `undefined`: it leaves targets as they are. */
export function pathRewrite({ stripPrefix, addPrefix }: Prefixes): PathRewrite | undefined {
  const rewrite = new PathRewrite({ stripPrefix, addPrefix });
  return rewrite.apply("/") === "/" && rewrite.stripped === "" ? undefined : rewrite;
}

/**
 * What follows the prefix. It begins with exactly one slash: with two, a backend that redirects to its own path would send
 * clients to another host (`//evil.example`).
 *
 * @param length of the prefix in its plain form
 */
function restOf(target: string, length: number): string {
  const end = pathEnd(target);
  let at = 0;
  for (let plain = 0; plain < length; plain++) {
    // An escape that stays one in the plain form has three characters there, too.
    at += target.charCodeAt(at) === PERCENT && plainForm(target.slice(at, at + 3)).length === 1 ? 3 : 1;
  }
  while (at < end && isSeparator(target.charCodeAt(at))) at++;
  return `/${target.slice(at)}`;
}

function isSeparator(code: number): boolean {
  return code === SLASH || code === BACKSLASH;
}

function withoutSlash(prefix: string): string {
  return prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
}

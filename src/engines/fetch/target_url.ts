/** Where a request goes at a backend. */

import type { Backend } from "../../pool/backend.ts";

const ANYWHERE = "http://x";

/**
 * The URL of a target at a backend, behind its base path. `fetch` and `WebSocket` resolve dot segments in it, which must
 * not lead out of the base path: so a target that may have some is resolved by itself first.
 *
 * @param target begins with `/`
 */
export function urlFor({ origin, basePath }: Backend, target: string): string {
  if (basePath === "") return origin + target;
  return origin + basePath + (mayHaveDots(target) ? resolved(target) : target);
}

/** Finds more than dot segments, but each of those: the URL standard takes `%2e` for a dot, and `\` for a slash. */
function mayHaveDots(target: string): boolean {
  return target.includes("/.") || target.includes("/%2") || target.includes("\\");
}

function resolved(target: string): string {
  return new URL(ANYWHERE + target).href.slice(ANYWHERE.length);
}

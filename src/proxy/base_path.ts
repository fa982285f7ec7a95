/** Keeps targets below the base path that is put in front of them. */

import { refused } from "../failures.ts";

/** @throws {ProxyError} when the target may lead out of the base path that will stand in front of it */
export function checkBelowBase(target: string): void {
  if (!climbsOut(target)) return;
  throw refused("bad_request", "The request target leaves the base path of the backend.");
}

/**
 * Returns whether a backend may take the path of a target for one that leads above its root. Backends differ: some
 * decode `%2e`, `%2f` and `%5c`, take `\` for a slash, merge empty segments or cut off parameters behind `;`. So a
 * segment that holds such separators leads down one level at most, and up with each `..` in it.
 */
export function climbsOut(target: string): boolean {
  if (!target.includes("..") && !target.includes("%2")) return false; // nearly always
  const query = target.indexOf("?");
  const path = (query === -1 ? target : target.slice(0, query)).toLowerCase()
    .replaceAll("%2e", ".").replaceAll("%2f", "\\").replaceAll("%5c", "\\");
  let depth = 0;
  for (const segment of path.split("/")) {
    let isDown = false;
    for (const part of segment.split("\\")) {
      const name = part.includes(";") ? part.slice(0, part.indexOf(";")) : part;
      if (name === "..") depth--;
      else if (name !== "" && name !== "." && !isDown) {
        isDown = true;
        depth++;
      }
      if (depth < 0) return true;
    }
  }
  return false;
}

/** Finds targets that could lead above the path that is put before them. */

/**
 * Returns whether a backend could read the path of a target as one that leads above its root. Backends differ: some
 * decode `%2e`, `%2f` and `%5c`, read `\` as a slash, merge empty segments, or drop parameters after `;`. So a segment
 * with such separators counts as at most one level down, and as one level up for each `..` in it.
 */
export function climbsOut(target: string): boolean {
  if (!target.includes("..") && !target.includes("%2")) return false; // the usual case
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

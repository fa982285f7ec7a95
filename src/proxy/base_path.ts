/** Whether a target stays below the base path that is put in front of it. */

/**
 * Returns whether the path of a target leads above its root, read as the most generous backend reads it: `%2e`, `%2f`
 * and `%5c` decoded, `\\` for a slash, empty segments for none, parameters behind `;` left out.
 */
export function climbsOut(target: string): boolean {
  if (!target.includes("..") && !target.includes("%2")) return false; // nearly always
  const query = target.indexOf("?");
  const path = (query === -1 ? target : target.slice(0, query)).toLowerCase()
    .replaceAll("%2e", ".").replaceAll("%2f", "/").replaceAll("%5c", "/").replaceAll("\\", "/");
  let depth = 0;
  for (const segment of path.split("/")) {
    const name = segment.includes(";") ? segment.slice(0, segment.indexOf(";")) : segment;
    if (name === "..") depth--;
    else if (name !== "" && name !== ".") depth++;
    if (depth < 0) return true;
  }
  return false;
}

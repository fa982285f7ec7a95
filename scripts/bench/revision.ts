/** Another revision of this repository, to compare the present tree with. */
import { run } from "./processes.ts";
import type { SourceTree } from "./subject.ts";

const here = new URL("../../", import.meta.url).pathname;

/**
 * Unpacks the files of a revision below `directory`, without changing the repository.
 *
 * @throws {Error} with git's own words when there is no such revision
 */
export async function unpackRevision(revision: string, directory: string, signal: AbortSignal): Promise<SourceTree> {
  const git = (...args: string[]) => run({ command: "git", args: ["-C", here, ...args] }, signal);
  const commit = await git("rev-parse", "--short", "--verify", "--end-of-options", `${revision}^{commit}`);
  const label = commit.stdout.trim();
  const archive = `${directory}.tar`;
  await git("archive", "--format=tar", `--output=${archive}`, label);
  await Deno.mkdir(directory);
  await run({ command: "tar", args: ["-xf", archive, "-C", directory] }, signal);
  await Deno.remove(archive);
  return { label, root: new URL(`file://${directory}/`) };
}

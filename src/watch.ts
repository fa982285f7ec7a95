/** Notices when a file has other content. */

/** Editors and deployments write in several steps: a file counts as changed when nothing has happened for this long. */
const QUIET_MS = 100;

/** A file under watch. */
export interface Watch {
  /** Stops; settles when nothing of it is left. */
  close(): Promise<void>;
}

/**
 * Calls `changed` when the file's text differs from what it was. The folder is watched, not the file: editors replace
 * files by renaming, and Kubernetes swaps a link beside them, neither of which a watch on the file itself would see.
 *
 * @throws {Deno.errors.NotFound} when the folder is not there
 */
export function watchFile(path: string, changed: () => void): Watch {
  const watcher = Deno.watchFs(folderOf(path), { recursive: false });
  let text = textOf(path);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    const now = textOf(path);
    if (now === undefined || now === text) return; // gone for a moment, or somebody else's file
    text = now;
    changed();
  };
  const watching = (async () => {
    for await (const _event of watcher) {
      clearTimeout(timer);
      timer = setTimeout(look, QUIET_MS);
    }
  })();
  return {
    async close() {
      watcher.close();
      await watching;
      clearTimeout(timer);
    },
  };
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "." : path.slice(0, slash) || "/";
}

function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // between two steps of a replacement it may be missing
  }
}

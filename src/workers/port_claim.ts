/** A port that several sockets are about to share, and nobody else may be listening on. */

/** Where the lock is. Only processes of one user can share a port, so one that another user's process made is no use. */
const DIRECTORY = "/tmp";

/** How long to wait for another process that is starting on the same port, and how often to look. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 10;

/**
 * Refuses a port that others listen on. The system would let them share it with us if they are willing, as another
 * roundhouse's workers are; a socket that does not share is refused there, so one is bound for a moment.
 *
 * Between that and the first of our own sockets another roundhouse could look too, and both would serve. So this part of
 * a start is under a lock, held until the claim is disposed of: of two that start at the same moment one waits, and then
 * finds the other. A lock that can't be had (no such directory, not ours) leaves that gap of some milliseconds open,
 * and does not keep roundhouse from starting. A process that dies gives its lock back.
 *
 * @throws {Deno.errors.AddrInUse} and its kin; where any free port will do (0) there is nothing to refuse
 */
export async function claimPort(at: { readonly hostname: string; readonly port: number }): Promise<Disposable> {
  if (at.port === 0) return { [Symbol.dispose]() {} };
  const lock = await takeLock(`${DIRECTORY}/roundhouse-port-${at.port}.lock`);
  try {
    Deno.listen(at).close();
  } catch (error) {
    lock?.close();
    throw error;
  }
  return { [Symbol.dispose]: () => lock?.close() };
}

/** Closing the file gives the lock back. The file stays: removed, two processes could hold the lock of two files. */
async function takeLock(path: string): Promise<Deno.FsFile | undefined> {
  let file: Deno.FsFile | undefined;
  try {
    // Both ways, since a pipe that somebody put there would be waited for.
    file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline;) {
      if (await file.tryLock(true)) return file;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch {
    // no lock then
  }
  file?.close();
  return undefined;
}

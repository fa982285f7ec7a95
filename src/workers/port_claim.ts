/** Makes sure that no other program listens at a port that several of our sockets will share. */

/**
 * The directory of the lock file. Only processes of the same user can share a port, so locks of other users don't
 * matter.
 */
const DIRECTORY = "/tmp";

/** How long to wait for another process that is starting at the same port, and how often to check. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 10;

/**
 * Throws if others listen at the port. The system would let us share it with sockets that allow this, such as those of
 * another roundhouse's workers. A socket that does not share is refused in this case, so one is bound for a moment.
 *
 * Between this test and our own first socket, another roundhouse could make the same test, and both would serve. So
 * this part of a start holds a lock until the claim is disposed of. If two start at the same moment, one waits and then
 * finds the other. If the lock can't be taken (no such directory, or another user's file), roundhouse starts without
 * it, and a gap of some milliseconds stays open. The system releases the lock of a process that dies.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors. Port 0 means any free port and is never refused
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

/**
 * Takes the lock; closing the file gives it back. The file is not removed: otherwise two processes could hold locks of
 * two different files.
 */
async function takeLock(path: string): Promise<Deno.FsFile | undefined> {
  let file: Deno.FsFile | undefined;
  try {
    // Opened for reading and writing, because opening a pipe for only one of them would wait.
    file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline;) {
      if (await file.tryLock(true)) return file;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch {
    // starts without the lock
  }
  file?.close();
  return undefined;
}

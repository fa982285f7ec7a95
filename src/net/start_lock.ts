/** Locks that programs hold for the moment in which they begin to listen, so that two don't do it at once. */

/** The directory of the lock files. */
const DIRECTORY = "/tmp";

/** How long to wait for another process that is starting at the same address, and how often to check. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 10;

/**
 * Takes the lock; dispose of it to give it back. The file is not removed: otherwise two processes could hold locks of
 * two different files. The system releases the lock of a process that dies. If the lock can't be taken (no such
 * directory, or another user's file), what is returned locks nothing.
 *
 * @param name the address, as a part of a file name
 */
export async function takeLock(name: string): Promise<Disposable> {
  let file: Deno.FsFile | undefined;
  try {
    // Opened for reading and writing, because opening a pipe for only one of them would wait.
    const path = `${DIRECTORY}/roundhouse-${name}.lock`;
    file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
    for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline;) {
      if (await file.tryLock(true)) {
        const locked = file;
        return { [Symbol.dispose]: () => locked.close() };
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } catch {
    // starts without the lock
  }
  file?.close();
  return { [Symbol.dispose]() {} };
}

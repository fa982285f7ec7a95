/** Makes sure that no other program listens at a port that several of our sockets will share. */

import { takeLock } from "../net/start_lock.ts";

/**
 * Throws if others listen at the port. The system would let us share it with sockets that allow this, such as those of
 * another roundhouse's workers. A socket that does not share is refused in this case, so one is bound for a moment.
 *
 * Between this test and our own first socket, another roundhouse could make the same test, and both would serve. So
 * this part of a start holds a lock until the claim is disposed of. If two start at the same moment, one waits and then
 * finds the other. Only processes of the same user can share a port, so it does not matter that a lock of another user
 * can't be taken. In a system without the directory for locks, a gap of some milliseconds stays open.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors. Port 0 means any free port and is never refused
 */
export async function claimPort(at: { readonly hostname: string; readonly port: number }): Promise<Disposable> {
  if (at.port === 0) return { [Symbol.dispose]() {} };
  const lock = await takeLock(`port-${at.port}`);
  try {
    Deno.listen(at).close();
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  return lock;
}

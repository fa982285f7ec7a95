/** The file of a unix socket that this process listens at: who may have it, its mode, and its removal. */

import { isQueueFull } from "./exhaustion.ts";
import { takeLock } from "./start_lock.ts";

export interface SocketFileOptions {
  /** Absolute. */
  readonly path: string;
  /** The permissions of the file: who may connect. */
  readonly mode: number;
}

/** Which file it is: another one may come to have the same path. */
interface Identity {
  readonly dev: number;
  readonly ino: number | null;
  /** A file system may give the number of a file that has gone to the next one. */
  readonly madeAt: number | undefined;
}

/** The longest path of a socket, which the name of the file during its making must have, too. */
export const MOST_PATH_BYTES = 107;

const TEMPORARY_LENGTH = 16;

const IN_USE = "another process listens there";

/** How often to look at a socket that resets connections, and how long to wait in between. */
const MOST_LOOKS = 5;
const LOOK_MS = 20;

/** What a connection to a socket fails with when nobody listens on it. */
const NOBODY = Deno.errors.ConnectionRefused;

/** How often to look whether clients still find the socket at its path. */
const WATCH_MS = 1000;

/** Why clients don't find the socket any more. */
export type SocketLoss = "removed" | "replaced";

/** Owns the file from `claim` to `remove`. */
export class SocketFile {
  readonly path: string;
  readonly #mode: number;
  #lock: Disposable | undefined;
  /** The file that this process has made; `undefined`: none yet, or it was removed. */
  #own: Identity | undefined;
  #watching: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes sure that the path is free. A socket that nobody listens on is left from a process that was killed, and is
   * removed. Until it is opened, another process that starts at the same path waits.
   *
   * @throws {Deno.errors.AddrInUse} when somebody listens on it
   * @throws {Deno.errors.AlreadyExists} when it is not a socket
   */
  static async claim(options: SocketFileOptions): Promise<SocketFile> {
    const lock = await takeLock(`socket${options.path.replaceAll("/", "-")}`);
    try {
      await removeStale(options.path);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
    return new SocketFile(options, lock);
  }

  private constructor({ path, mode }: SocketFileOptions, lock: Disposable) {
    this.path = path;
    this.#mode = mode;
    this.#lock = lock;
  }

  /**
   * Listens on it. May be called again when the listener has ended.
   *
   * The file gets another name first. When the runtime closes a listener, it removes whatever has the path by then, and
   * that may be the socket of another process. Besides, the file has its mode when it appears.
   *
   * @param listen listens at the path that it gets
   * @param close closes the listener if the file can't have its name
   * @throws {Deno.errors.AddrInUse} when somebody else has taken the path since it was claimed
   */
  open<Listener>(listen: (path: string) => Listener, close: (listener: Listener) => void): Listener {
    try {
      const present = identityOf(this.path);
      if (present !== undefined && !isSame(present, this.#own)) throw new Deno.errors.AddrInUse(IN_USE);
      return this.#open(listen, close);
    } finally {
      this.#unlock();
    }
  }

  #open<Listener>(listen: (path: string) => Listener, close: (listener: Listener) => void): Listener {
    const temporary = temporaryName(this.path);
    const listener = listen(temporary);
    try {
      Deno.chmodSync(temporary, this.#mode);
      this.#own = identityOf(temporary);
      Deno.renameSync(temporary, this.path);
      return listener;
    } catch (error) {
      close(listener); // which removes the file
      throw error;
    }
  }

  /** Calls `lost` once, when clients don't find the socket that was opened last. Ends with `remove`. */
  watch(lost: (how: SocketLoss) => void, intervalMs: number = WATCH_MS): void {
    clearInterval(this.#watching);
    this.#watching = setInterval(() => {
      const how = this.#loss();
      if (how === undefined) return;
      clearInterval(this.#watching);
      lost(how);
    }, intervalMs);
  }

  /** While a listener is open, the system gives the number of its file to no other. */
  #loss(): SocketLoss | undefined {
    try {
      const { dev, ino } = Deno.lstatSync(this.path);
      return dev === this.#own?.dev && ino === this.#own.ino ? undefined : "replaced";
    } catch (error) {
      return error instanceof Deno.errors.NotFound ? "removed" : undefined; // otherwise, nobody knows
    }
  }

  /** Removes the file, if it is still the one that was made here. Call it when the listener has been closed. */
  remove(): void {
    clearInterval(this.#watching);
    const own = this.#own;
    this.#own = undefined;
    this.#unlock();
    const present = own && identityOf(this.path);
    if (present === undefined || !isSame(present, own)) return;
    try {
      Deno.removeSync(this.path);
    } catch {
      // Somebody else has removed it, or took away the right to. The next start replaces it.
    }
  }

  #unlock(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }
}

/** A name in the same folder that is no longer than a path may be. */
function temporaryName(path: string): string {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const room = MOST_PATH_BYTES - new TextEncoder().encode(folder).length;
  return folder + `.${crypto.randomUUID().replaceAll("-", "")}`.slice(-Math.min(room, TEMPORARY_LENGTH));
}

function isSame(one: Identity, other: Identity | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev && one.madeAt === other.madeAt;
}

function identityOf(path: string): Identity | undefined {
  try {
    const { dev, ino, mtime } = Deno.lstatSync(path);
    return { dev, ino, madeAt: mtime?.getTime() };
  } catch {
    return undefined;
  }
}

async function removeStale(path: string): Promise<void> {
  let isSocket: boolean | null;
  try {
    ({ isSocket } = await Deno.lstat(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (isSocket !== true) throw new Deno.errors.AlreadyExists("there is a file that is not a socket");
  if (await isAnswered(path)) throw new Deno.errors.AddrInUse(IN_USE);
  await Deno.remove(path).catch(() => {}); // its owner may have done so; listening tells what else is wrong
}

/** Whether somebody listens. A listener that is closing resets connections for a moment. */
async function isAnswered(path: string): Promise<boolean> {
  for (let look = 0; look < MOST_LOOKS; look++) {
    try {
      (await Deno.connect({ transport: "unix", path })).close();
      return true;
    } catch (error) {
      if (error instanceof NOBODY || error instanceof Deno.errors.NotFound) return false;
      if (isQueueFull(error)) return true;
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return true;
}

/** Notices when a file may have changed, in any way. */

import { type Clock, systemClock } from "../net/clock.ts";

/** How often to look at the file. */
const LOOK_MS = 250;

/**
 * Editors and deployments write in several steps, so a change is reported when the file has come to rest. A file that
 * never rests is reported after this many looks.
 */
const MOST_UNQUIET_LOOKS = 4;

/** A watched file. */
export interface Watch {
  /** Stops watching. Settles when nothing of it runs any more. */
  close(): Promise<void>;
}

/**
 * Calls `suspicious` within two seconds after a file may have changed, when it has come to rest. The first look always
 * calls it, because changes before that are not known. The caller must check whether the content differs.
 *
 * Polls the path instead of listening for events. There are no events for the target of a link, for a file that is
 * mounted by itself, or in a folder that was replaced.
 */
export function watchFile(path: string, suspicious: () => void, clock: Clock = systemClock): Watch {
  let reported: string | undefined;
  let seen: string | undefined;
  let unquiet = 0;
  let closed = false;
  let cancel = () => {};
  let looking = Promise.resolve();
  const look = async () => {
    const now = await marksOf(path);
    if (closed) return;
    if (now === undefined || now === reported) unquiet = 0; // the file is missing for a moment, or has not changed
    else if (now === seen || ++unquiet >= MOST_UNQUIET_LOOKS) {
      reported = now;
      unquiet = 0;
      suspicious();
    }
    seen = now;
    later();
  };
  const later = () => {
    cancel = clock.after(LOOK_MS, () => void (looking = look()));
  };
  later();
  return {
    async close() {
      closed = true;
      cancel();
      await looking;
    },
  };
}

/** The attributes that change with the content of a file; `undefined`: there is no file. */
async function marksOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtime, ctime } = await Deno.stat(path);
    return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join();
  } catch {
    return undefined; // it may be missing between two steps of a replacement
  }
}

/** Notices when a file may have other content, however that came about. */

import { type Clock, systemClock } from "../net/clock.ts";

/** How often the file is looked at. */
const LOOK_MS = 250;

/** Editors and deployments write in several steps. A file that never rests is reported all the same after so many looks. */
const MOST_UNQUIET_LOOKS = 4;

/** A file under watch. */
export interface Watch {
  /** Stops; settles when nothing of it is left. */
  close(): Promise<void>;
}

/**
 * Calls `suspicious` when a file may have changed and has rested since: within two seconds, whichever way it changed.
 * The first look is always suspicious, since nobody watched before it. What the caller then finds is its own affair.
 *
 * Looks at the path instead of listening for events: there are none for the target of a link, for a file that is mounted
 * by itself, or in a folder that has been replaced.
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
    if (now === undefined || now === reported) unquiet = 0; // gone for a moment, or as it was
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

/** What tells one content of a file from another without reading it; `undefined` where there is none. */
async function marksOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtime, ctime } = await Deno.stat(path);
    return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join();
  } catch {
    return undefined; // between two steps of a replacement it may be missing
  }
}

/** Tells that clients don't find a socket any more. */

import type { Log } from "../log.ts";
import type { SocketFile } from "./socket_file.ts";

/** Looks at a socket that was opened, tells the log when it is lost, and then calls `listenAnew`. */
export function watchSocket(file: SocketFile, log: Log, listenAnew: () => void): void {
  file.watch((how) => {
    const consequence = how === "removed"
      ? "roundhouse listens at the path anew"
      : "no client comes here until the path is free";
    log.warn(`socket ${how}`, { path: file.path, consequence });
    listenAnew();
  });
}

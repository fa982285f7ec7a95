/** The sockets that systemd has opened for the program (sd_listen_fds(3)). */

import { type HandedSockets, NO_SOCKETS } from "../control/shared_ports.ts";
import { ConfigError } from "../errors.ts";

/** The first descriptor that is passed. */
const FIRST = 3;

/**
 * Takes the sockets from the environment, so that no other program takes them for its own. `FileDescriptorName=` of the
 * unit says what a socket is for: `admin`, `redirect`, and whatever else the proxy.
 *
 * @throws {ConfigError} when there are several for one use
 */
export function takeListenFds(environment: Pick<typeof Deno.env, "get" | "delete">): HandedSockets {
  const [pid, count, names = ""] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map((name) => {
    const value = environment.get(name);
    environment.delete(name);
    return value;
  });
  if (pid !== String(Deno.pid) || count === undefined || !/^[1-9]\d{0,3}$/.test(count)) return NO_SOCKETS;
  const given = names.split(":");
  const byUse = new Map<string, number[]>([["proxy", []], ["admin", []], ["redirect", []]]);
  for (let index = 0; index < Number(count); index++) {
    const use = byUse.get(given[index] ?? "") ?? byUse.get("proxy");
    use?.push(FIRST + index);
  }
  const twice = Array.from(byUse).filter(([, sockets]) => sockets.length > 1);
  if (twice.length > 0) {
    throw new ConfigError(
      twice.map(([use, { length }]) =>
        `LISTEN_FDS: got ${length} sockets for ${use}, want one: FileDescriptorName= may be proxy, admin or redirect`
      ),
    );
  }
  const [proxy = [], admin = [], redirect = []] = byUse.values();
  return { proxy, admin: admin[0], redirect: redirect[0], fromSystemd: true };
}

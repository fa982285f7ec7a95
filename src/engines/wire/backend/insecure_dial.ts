/** Connects to backends whose certificates are not checked (`tls.insecure`). Only `node:tls` can do that. */

import { connect } from "node:tls";
import type { HostPort } from "../../../net/endpoint.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import type { Link } from "../link.ts";
import { NodeLink } from "../node_link.ts";

/** Accepts any certificate. Rejects if `signal` fires first. */
export function dialInsecurely(
  { hostname, port }: HostPort,
  tls: ReachedServer["tls"],
  signal: AbortSignal,
): Promise<Link> {
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const socket = connect({
    host: hostname,
    port,
    rejectUnauthorized: false,
    ...(tls.serverName === null ? {} : { servername: tls.serverName }),
  });
  socket.allowHalfOpen = true; // one side of a tunnel may end before the other
  const giveUp = () => {
    socket.destroy();
    reject(signal.reason);
  };
  signal.addEventListener("abort", giveUp);
  socket.once("secureConnect", () => resolve(new NodeLink(socket)));
  socket.once("error", reject);
  return promise.finally(() => {
    signal.removeEventListener("abort", giveUp);
    socket.off("error", reject);
  });
}

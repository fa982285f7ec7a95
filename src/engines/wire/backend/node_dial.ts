/** Connects to backends by `node:tls`. */

import type { HostPort } from "../../../net/endpoint.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import { connectThroughNode } from "../../../tls/node_handshake.ts";
import type { Link } from "../link.ts";
import { NodeLink } from "../node_link.ts";

/** Connects, and makes the handshake. Rejects if `signal` fires first. */
export function dialThroughNode(
  endpoint: HostPort,
  tls: ReachedServer["tls"],
  signal: AbortSignal,
): Promise<Link> {
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const socket = connectThroughNode(endpoint, tls);
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

/** Makes connections to backends. */

import { connect } from "node:tls";
import type { Backend } from "../../pool/backend.ts";
import { trustFor } from "../../tls/authorities.ts";
import type { Link } from "./link.ts";
import { NodeLink } from "./node_link.ts";

/** Connects to a backend, encrypted where its URL says so. Rejects when `signal` fires first. */
export async function dial(backend: Backend, signal: AbortSignal): Promise<Link> {
  if (backend.tls.insecure && isSecure(backend)) return await dialInsecurely(backend, signal);
  const { hostname, port, tls } = backend;
  const connection = await Deno.connect({ hostname, port, signal });
  connection.setNoDelay(true);
  if (!isSecure(backend)) return connection;
  const giveUp = () => connection.close();
  signal.addEventListener("abort", giveUp);
  try {
    const secured = await Deno.startTls(connection, { hostname, ...trustFor(tls) });
    await secured.handshake();
    return secured;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

function isSecure({ origin }: Backend): boolean {
  return origin.startsWith("https:");
}

/** Takes whatever certificate the backend shows; only `node:tls` can. */
function dialInsecurely({ hostname, port }: Backend, signal: AbortSignal): Promise<Link> {
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const socket = connect({ host: hostname, port, rejectUnauthorized: false });
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

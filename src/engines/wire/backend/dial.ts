/** Makes connections to backends. */

import { connectTo } from "../../../net/endpoint.ts";
import type { ReachedServer } from "../../../pool/backend_address.ts";
import { shakeHands } from "../../../tls/client_handshake.ts";
import type { Link } from "../link.ts";

/** Connects to a backend, with TLS if its URL says so. Rejects if `signal` fires first. */
export async function dial(backend: ReachedServer, signal: AbortSignal): Promise<Link> {
  const { endpoint, tls } = backend;
  const isSecure = backend.origin.startsWith("https:");
  if (isSecure && (tls.insecure || tls.cert !== null) && !("path" in endpoint)) {
    const { dialThroughNode } = await import("./node_dial.ts"); // `node:tls` takes 20 ms to load
    return await dialThroughNode(endpoint, tls, signal);
  }
  const connection = await connectTo(endpoint, signal);
  if (!isSecure || !("setKeepAlive" in connection)) return connection; // nobody speaks TLS at a unix socket
  connection.setKeepAlive(true); // it may become a tunnel, and a `Deno.TlsConn` has no such method
  return await shakeHands(connection, backend, signal);
}

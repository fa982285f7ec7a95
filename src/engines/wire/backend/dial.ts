/** Makes connections to backends. */

import type { ReachedServer } from "../../../pool/backend_address.ts";
import { shakeHands } from "../../../tls/client_handshake.ts";
import type { Link } from "../link.ts";

/** Connects to a backend, with TLS if its URL says so. Rejects if `signal` fires first. */
export async function dial(backend: ReachedServer, signal: AbortSignal): Promise<Link> {
  const isSecure = backend.origin.startsWith("https:");
  if (isSecure && backend.tls.insecure) {
    const { dialInsecurely } = await import("./insecure_dial.ts"); // `node:tls` takes 20 ms to load
    return await dialInsecurely(backend, signal);
  }
  const { hostname, port } = backend;
  const connection = await Deno.connect({ hostname, port, signal });
  connection.setNoDelay(true);
  if (!isSecure) return connection;
  connection.setKeepAlive(true); // it may become a tunnel, and a `Deno.TlsConn` has no such method
  return await shakeHands(connection, backend, signal);
}

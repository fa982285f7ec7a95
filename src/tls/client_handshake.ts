/** TLS towards a backend, over a connection that is there. */

import type { BackendSpec } from "../config/schema.ts";
import { closeQuietly } from "../net/close_quietly.ts";
import { clientTls } from "./backend_files.ts";

/** Who the other side has to be. */
export interface TlsServer {
  readonly hostname: string;
  readonly tls: BackendSpec["tls"];
}

/**
 * Shakes hands. The certificate has to be for `tls.serverName`, or else for `hostname`. Rejects if `signal` fires first.
 * When it rejects, the connection is closed. Can't show `tls.cert`: the runtime takes none over a connection.
 */
export async function shakeHands(
  connection: Deno.TcpConn,
  { hostname, tls }: TlsServer,
  signal: AbortSignal,
): Promise<Deno.TlsConn> {
  let secured: Deno.TlsConn | undefined;
  const giveUp = () => closeQuietly(secured ?? connection);
  signal.addEventListener("abort", giveUp);
  try {
    secured = await Deno.startTls(connection, { hostname: tls.serverName ?? hostname, ...clientTls(tls) });
    signal.throwIfAborted();
    await secured.handshake();
    return secured;
  } catch (error) {
    giveUp();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

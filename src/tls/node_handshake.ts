/**
 * TLS to backends by `node:tls`, for what the runtime's own can't do: leave a certificate unchecked, and show one over a
 * connection or to a server of another name. A connection costs more, and loading takes 20 ms.
 */

import { connect, createSecureContext, rootCertificates, type SecureContext, type TLSSocket } from "node:tls";
import type { BackendSpec } from "../config/schema.ts";
import type { HostPort } from "../net/endpoint.ts";
import { clientTls } from "./backend_files.ts";

/** Whether TLS with these settings needs this module. */
export function needsNode({ insecure, cert }: BackendSpec["tls"]): boolean {
  return insecure || cert !== null;
}

/** Begins to connect. The caller waits for `secureConnect`, and handles errors. */
export function connectThroughNode({ hostname, port }: HostPort, tls: BackendSpec["tls"]): TLSSocket {
  return connect({
    host: hostname,
    port,
    rejectUnauthorized: !tls.insecure,
    secureContext: contextOf(tls),
    ...(tls.serverName === null ? {} : { servername: tls.serverName }),
  });
}

/** Authorities are trusted beside those of the runtime. */
function contextOf(tls: BackendSpec["tls"]): SecureContext {
  const { caCerts = [], ...shown } = clientTls(tls);
  return createSecureContext({ ...shown, ...(tls.insecure ? {} : { ca: [...rootCertificates, ...caCerts] }) });
}

/** Where clients connect: what listeners with and without TLS have in common, and the one without. */

import type { Log } from "../../../log.ts";
import { Acceptor } from "../../../net/acceptor.ts";
import type { ServerCertificate } from "../../../tls/server_certificate.ts";
import type { Link } from "../link.ts";

/** A connection over which requests may come. */
export interface EstablishedConnection {
  readonly link: Link;
  /** The client's address, or what a PROXY protocol header that came before TLS has told. */
  readonly remote: Deno.NetAddr;
  readonly local: Deno.NetAddr;
}

/** A connection that was accepted. Where there is TLS, its handshake is still to come. */
export interface PendingConnection {
  /** Makes the handshake, if there is one. `undefined`: the client has left, or was cut. Never rejects. */
  establish(): Promise<EstablishedConnection | undefined>;
  close(): void;
}

export interface ListenerOptions {
  readonly hostname: string;
  readonly port: number;
  /** Whether other isolates listen at the same address. */
  readonly reusePort: boolean;
  /** Whether connections begin with a PROXY protocol header. A listener with TLS reads it, a plain one leaves it. */
  readonly proxyProtocol: boolean;
  readonly log: Log;
  /** Told when no client can be accepted, and when clients can be again. */
  readonly acceptingChanged: (accepting: boolean) => void;
  /** Takes a connection. The next one is accepted when this has settled. */
  readonly onAccept: (connection: PendingConnection) => Promise<void>;
}

export interface Listener {
  readonly address: Deno.NetAddr;
  /** Shows another certificate to those who connect from now on; `undefined`: there is none to show. */
  readonly setCertificate: ((certificate: ServerCertificate) => void) | undefined;
  /** Closes the port, and connections in their handshake. Settles when `onAccept` has settled for the last one. */
  close(): Promise<void>;
}

/** Listens without TLS. */
export function listen({ onAccept, ...options }: ListenerOptions): Listener {
  const acceptor = new Acceptor({
    ...options,
    onAccept(accepted) {
      return onAccept({ establish: () => Promise.resolve(accepted), close: () => accepted.link.close() });
    },
  });
  return { address: acceptor.address, setCertificate: undefined, close: () => acceptor.close() };
}

/** The interface of listeners with and without TLS, and the listener without TLS. */

import { Acceptor, type Listening } from "../../../net/acceptor.ts";
import type { BoundAddress } from "../../../net/listen_address.ts";
import type { ServerTls } from "../../../tls/server_certificate.ts";
import type { Link } from "../link.ts";

/** A connection that is ready for requests. */
export interface EstablishedConnection {
  readonly link: Link;
  /** The client's address. With TLS and a PROXY protocol header, the address in that header. */
  readonly peer: string;
  /** The address that it connected to, as an authority. */
  readonly local: string;
  /** See `RequestHead`. */
  readonly clientCert?: string | null | undefined;
}

/** A connection that was accepted. With TLS, its handshake has not been made yet. */
export interface PendingConnection {
  /** Makes the handshake, if there is one. `undefined`: the client left or was cut. Never rejects. */
  establish(): Promise<EstablishedConnection | undefined>;
  close(): void;
}

export interface ListenerOptions extends Listening {
  /** Whether connections begin with a PROXY protocol header. Only the listener with TLS reads it. */
  readonly proxyProtocol: boolean;
  /** Called with each connection. The next one is accepted when this has settled. */
  readonly onAccept: (connection: PendingConnection) => Promise<void>;
}

export interface Listener {
  readonly address: BoundAddress;
  /** Uses other certificates for clients that connect from now on; `undefined`: the listener has no TLS. */
  readonly setTls: ((tls: ServerTls) => void) | undefined;
  /**
   * Closes the port and the connections in their handshake. Settles when `onAccept` has settled for the last
   * connection.
   */
  close(): Promise<void>;
  /** Closes the port, because another process listens there. Settles as `close` does. */
  release(): Promise<void>;
}

/** Listens without TLS. */
export function listen({ onAccept, ...options }: ListenerOptions): Listener {
  const acceptor = new Acceptor({
    ...options,
    onAccept(accepted) {
      return onAccept({ establish: () => Promise.resolve(accepted), close: () => accepted.link.close() });
    },
  });
  return {
    address: acceptor.address,
    setTls: undefined,
    close: () => acceptor.close(),
    release: () => acceptor.release(),
  };
}

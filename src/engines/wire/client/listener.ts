/** Where clients come in: a listener. */

import { Acceptor, type Listening } from "../../../net/acceptor.ts";
import type { ServerCertificate } from "../../../tls/server_certificate.ts";
import type { Link } from "../link.ts";

/** A client whose requests may begin. */
export interface Entrant {
  readonly link: Link;
  /** The client's address, or what a PROXY protocol header that came before TLS has told. */
  readonly remote: Deno.NetAddr;
  readonly local: Deno.NetAddr;
}

/** A client that stands at the door: it has a connection and nothing else yet. */
export interface Newcomer {
  /** Lets it in, which takes a handshake where there is TLS; `undefined`: it has left, or was cut. Never rejects. */
  enter(): Promise<Entrant | undefined>;
  close(): void;
}

export interface DoorOptions extends Listening {
  /** Whether other isolates listen at the same address. */
  readonly reusePort: boolean;
  /** Whether connections begin with a PROXY protocol header. A door with TLS reads it, a plain one leaves it. */
  readonly proxyProtocol: boolean;
  /** Takes a client. The next one is accepted when this has settled. */
  readonly welcome: (newcomer: Newcomer) => Promise<void>;
}

export interface Door {
  readonly address: Deno.NetAddr;
  /** Shows another certificate to those who come from now on; `undefined`: there is none to show. */
  readonly setCertificate: ((certificate: ServerCertificate) => void) | undefined;
  /** Cuts those who are on their way in, too. Settles when nobody is welcomed any more. */
  close(): Promise<void>;
}

export function openDoor({ welcome, ...options }: DoorOptions): Door {
  const acceptor = new Acceptor({
    ...options,
    welcome(arrival) {
      return welcome({ enter: () => Promise.resolve(arrival), close: () => arrival.link.close() });
    },
  });
  return { address: acceptor.address, setCertificate: undefined, close: () => acceptor.close() };
}

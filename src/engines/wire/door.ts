/** Where clients come in: a listener. */

import type { Log } from "../../log.ts";
import type { ServerCertificate } from "../../tls/certificates.ts";
import { LISTEN_QUEUE } from "../listen_queue.ts";
import type { Link } from "./link.ts";

/** A client whose requests may begin. */
export interface Entrant {
  readonly link: Link;
  /** The client's address, or what a PROXY protocol header that came before TLS has told. */
  readonly remote: Deno.NetAddr;
  readonly local: Deno.NetAddr;
}

/** A client that stands at the door: it has a connection and nothing else yet. */
export interface Arrival {
  /** Lets it in, which takes a handshake where there is TLS; `undefined`: it has left, or was cut. */
  enter(): Promise<Entrant | undefined>;
  close(): void;
}

export interface DoorOptions {
  readonly hostname: string;
  readonly port: number;
  /** Whether other isolates listen at the same address. */
  readonly reusePort: boolean;
  /** Whether connections begin with a PROXY protocol header. A door with TLS reads it, a plain one leaves it. */
  readonly proxyProtocol: boolean;
  readonly log: Log;
}

export interface Door {
  readonly address: Deno.NetAddr;
  /** Shows another certificate to those who come from now on; `undefined`: there is none to show. */
  readonly setCertificate: ((certificate: ServerCertificate) => void) | undefined;
  /** The next client's connection. Rejects when it could not be taken, or the door is closed. */
  accept(): Promise<Arrival>;
  /** Cuts those who are on their way in, too. */
  close(): void;
}

export function openDoor({ hostname, port, reusePort }: DoorOptions): Door {
  const listener = Deno.listen({ hostname, port, reusePort, tcpBacklog: LISTEN_QUEUE });
  return {
    address: listener.addr,
    setCertificate: undefined,
    async accept() {
      const link = await listener.accept();
      link.setNoDelay(true);
      const entrant = { link, remote: link.remoteAddr, local: link.localAddr };
      return { enter: () => Promise.resolve(entrant), close: () => link.close() };
    },
    close: () => listener.close(),
  };
}

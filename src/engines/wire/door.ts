/** Where clients come in: a listener. */

import type { ServerCertificate } from "../../tls/certificates.ts";
import type { Link } from "./link.ts";

export interface Arrival {
  readonly link: Link;
  readonly remote: Deno.NetAddr;
  readonly local: Deno.NetAddr;
}

export interface DoorOptions {
  readonly hostname: string;
  readonly port: number;
  /** Whether other isolates listen at the same address. */
  readonly reusePort: boolean;
}

export interface Door {
  readonly address: Deno.NetAddr;
  /** Shows another certificate to those who come from now on; `undefined`: there is none to show. */
  readonly setCertificate: ((certificate: ServerCertificate) => void) | undefined;
  /** The next client's connection. Rejects when it could not be taken, or the door is closed. */
  accept(): Promise<Arrival>;
  close(): void;
}

export function openDoor(options: DoorOptions): Door {
  const listener = Deno.listen(options);
  return {
    address: listener.addr,
    setCertificate: undefined,
    async accept() {
      const link = await listener.accept();
      link.setNoDelay(true);
      return { link, remote: link.remoteAddr, local: link.localAddr };
    },
    close: () => listener.close(),
  };
}

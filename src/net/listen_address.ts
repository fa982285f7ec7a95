/** Where a server listens: at a port, or at the file of a unix socket. */

import { LISTEN_QUEUE } from "./listen_queue.ts";
import { SocketFile } from "./socket_file.ts";

/** Where a server is to listen. */
export type ListenAddress = ListenPort | SocketFile;

export interface ListenPort {
  readonly hostname: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Whether other isolates listen at the same address. */
  readonly reusePort?: boolean;
}

/** Where a server listens. */
export type BoundAddress = Deno.NetAddr | Deno.UnixAddr;

/** A listener of either kind. */
export type AnyListener = Deno.Listener<Deno.TcpConn | Deno.UnixConn, BoundAddress>;

/** @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound */
export function listenAt(at: ListenAddress): AnyListener {
  if (at instanceof SocketFile) {
    return at.open((path) => Deno.listen({ transport: "unix", path }), (listener) => listener.close());
  }
  const { hostname, port, reusePort = false } = at;
  return Deno.listen({ hostname, port, reusePort, tcpBacklog: LISTEN_QUEUE });
}

/** Where a listener listens. That of a socket knows only the name that its file had at first. */
export function boundAt(at: ListenAddress, { addr }: { readonly addr: BoundAddress }): BoundAddress {
  return at instanceof SocketFile ? { transport: "unix", path: at.path } : addr;
}

/** The address to listen at again, after a listener has ended: any free port is now the one that it had. */
export function sameAddress(at: ListenAddress, bound: BoundAddress): ListenAddress {
  return at instanceof SocketFile || "path" in bound ? at : { ...at, port: bound.port };
}

/** The address of a server that listens at a port. */
export function portAddress(bound: BoundAddress): Deno.NetAddr {
  if ("path" in bound) throw new Error(`${bound.path} is not a port`);
  return bound;
}

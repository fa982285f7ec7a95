/** Where a server listens: at a port, or at the file of a unix socket. */

import { LISTEN_QUEUE } from "./listen_queue.ts";
import { SharedPort } from "./shared_port.ts";
import { SocketFile } from "./socket_file.ts";

/** Where a server is to listen. */
export type ListenAddress = ListenPort | SocketFile;

/** Where an acceptor is to accept clients: there, or at a port that is open. */
export type AcceptAddress = ListenAddress | SharedPort;

export interface ListenPort {
  readonly hostname: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Whether other isolates listen at the same address. */
  readonly reusePort?: boolean;
}

/** Where a server listens. */
export type BoundAddress = Deno.NetAddr | Deno.UnixAddr;

/** A listener of any kind. */
export interface ClientListener {
  readonly addr: BoundAddress;
  accept(): Promise<Deno.TcpConn | Deno.UnixConn>;
  close(): void;
  /** Closes it. `accept` still gives the clients that this process has taken from the system already. */
  retire?(): void;
  /** Gives the event loop a turn, and takes clients meanwhile. */
  turn?(): Promise<void>;
}

/** @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound */
export function listenAt(at: AcceptAddress): ClientListener {
  if (at instanceof SharedPort) return at;
  if (at instanceof SocketFile) {
    return at.open((path) => Deno.listen({ transport: "unix", path }), (listener) => listener.close());
  }
  const { hostname, port, reusePort = false } = at;
  return Deno.listen({ hostname, port, reusePort, tcpBacklog: LISTEN_QUEUE });
}

/** Where a listener listens. That of a socket knows only the name that its file had at first. */
export function boundAt(at: AcceptAddress, { addr }: { readonly addr: BoundAddress }): BoundAddress {
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

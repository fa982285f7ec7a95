/**
 * The runtime's handle of a TCP socket, below `node:net`. Nothing else in the runtime listens at a descriptor that
 * another process has opened, or tells the descriptor of a listener. It is no public interface. Only this file knows it,
 * and the version of the runtime is fixed.
 */

import { LISTEN_QUEUE } from "./listen_queue.ts";

/** What a handle is for, as the runtime numbers it. */
const CONNECTION = 0;
const LISTENER = 1;

/** Lets several sockets of a user listen at one port. */
const REUSE_PORT = 4;

/** Sockets at one of these accept clients of all addresses of the machine. */
const ANY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::", "::ffff:0.0.0.0"]);

/** Filled in by a handle. */
interface HandleAddress {
  address?: string;
  port?: number;
}

/** Calls that may fail return 0 or a negative number. */
interface TcpHandle {
  /** Called when a connection is ready. */
  onconnection: (status: number) => void;
  bindWithFlags(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  open(descriptor: number): number;
  listen(backlog: number): number;
  accept(client: TcpHandle): number;
  fdForIpc(): number;
  takeStream(): number;
  getsockname(out: HandleAddress): number;
  getpeername(out: HandleAddress): number;
  close(): void;
}

type HandleClass = new (kind: number) => TcpHandle;
type ConnectionClass = new (resource: number, remote: Deno.NetAddr, local: Deno.NetAddr) => Deno.TcpConn;

/** Makes handles. */
export class TcpHandles {
  readonly #Handle: HandleClass;
  readonly #Connection: ConnectionClass;

  /** `undefined`: this runtime does not have them. */
  static async load(): Promise<TcpHandles | undefined> {
    try {
      const { default: process } = await import("node:process");
      const bindings = process as unknown as { binding(name: string): { readonly TCP: HandleClass } };
      return new TcpHandles(bindings.binding("tcp_wrap").TCP, await connectionClass());
    } catch {
      return undefined;
    }
  }

  private constructor(Handle: HandleClass, Connection: ConnectionClass) {
    this.#Handle = Handle;
    this.#Connection = Connection;
  }

  /** Binds a socket to an address. `undefined`: it can't be. */
  bind(
    at: { readonly hostname: string; readonly port: number; readonly reusePort?: boolean },
  ): ListeningHandle | undefined {
    const handle = new this.#Handle(LISTENER);
    const bind = at.hostname.includes(":") ? "bind6" : "bindWithFlags";
    const isBound = handle[bind](at.hostname, at.port, at.reusePort === true ? REUSE_PORT : 0) === 0;
    return this.#listening(handle, isBound);
  }

  /** Keeps a socket that nothing is done with here. Owns the descriptor from then on. `undefined`: it is not of TCP. */
  hold(descriptor: number): SocketHandle | undefined {
    // Not as a listener: that would accept a client, which nobody would take.
    const handle = new this.#Handle(CONNECTION);
    const isOpen = handle.open(descriptor) === 0 && addressOf((out) => handle.getsockname(out)) !== undefined;
    if (isOpen) return new SocketHandle(handle);
    handle.close();
    return undefined;
  }

  /** Takes a socket that listens. Owns the descriptor from then on. `undefined`: it is none, or not of TCP. */
  open(descriptor: number): ListeningHandle | undefined {
    const handle = new this.#Handle(LISTENER);
    return this.#listening(handle, handle.open(descriptor) === 0);
  }

  /** A handle that connections can be accepted with, one after the other. */
  forClients(): TcpHandle {
    return new this.#Handle(CONNECTION);
  }

  /** Closes a descriptor of a socket. */
  closeDescriptor(descriptor: number): void {
    const handle = new this.#Handle(CONNECTION);
    handle.open(descriptor);
    handle.close();
  }

  /**
   * Takes the connection out of its handle.
   *
   * @param known the address that the client has connected to; `undefined`: the system is asked
   * @returns `undefined`: the client has left, and the system does not know its address any more
   */
  connection(client: TcpHandle, known: Deno.NetAddr | undefined): Deno.TcpConn | undefined {
    const remote = addressOf((out) => client.getpeername(out));
    const local = known ?? addressOf((out) => client.getsockname(out));
    return remote && local && new this.#Connection(client.takeStream(), remote, local);
  }

  #listening(handle: TcpHandle, isOpen: boolean): ListeningHandle | undefined {
    const address = isOpen ? addressOf((out) => handle.getsockname(out)) : undefined;
    if (address !== undefined && handle.listen(LISTEN_QUEUE) === 0) {
      const bound = addressOf((out) => handle.getsockname(out)) ?? address; // any free port is known only now
      return new ListeningHandle(handle, bound, this);
    }
    handle.close();
    return undefined;
  }
}

/** A socket. */
export class SocketHandle {
  readonly #handle: TcpHandle;
  #closed = false;

  constructor(handle: TcpHandle) {
    this.#handle = handle;
  }

  /** Another descriptor of the socket, which the caller owns. `undefined`: none is left in the process. */
  descriptor(): number | undefined {
    const descriptor = this.#closed ? -1 : this.#handle.fdForIpc();
    return descriptor < 0 ? undefined : descriptor;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.onconnection = () => {};
    this.#handle.close();
  }
}

/** A socket that listens. */
export class ListeningHandle extends SocketHandle {
  readonly address: Deno.NetAddr;
  readonly #handle: TcpHandle;
  readonly #handles: TcpHandles;
  /** Each client is accepted with it: a handle for each would take longer to make and to collect than all else. */
  #client: TcpHandle;
  /** Of each connection. `undefined`: it is to be asked for, because the socket listens at all addresses. */
  readonly #local: Deno.NetAddr | undefined;

  constructor(handle: TcpHandle, address: Deno.NetAddr, handles: TcpHandles) {
    super(handle);
    this.#handle = handle;
    this.address = address;
    if (!ANY_ADDRESS.has(address.hostname)) this.#local = address;
    this.#handles = handles;
    this.#client = handles.forClients();
  }

  /** Called when a connection is ready. While it is not taken, there is no more looking for others. */
  set ready(listener: () => void) {
    this.#handle.onconnection = listener;
  }

  /** Looks for connections, and goes on looking until one is ready or looking fails. */
  look(): void {
    this.#handle.listen(LISTEN_QUEUE);
  }

  /**
   * A connection that is ready. `undefined`: there is none.
   *
   * @throws when the client has left, and the system does not know its address any more
   */
  take(): Deno.TcpConn | undefined {
    if (this.#handle.accept(this.#client) !== 0) return undefined;
    const connection = this.#handles.connection(this.#client, this.#local);
    if (connection !== undefined) return connection;
    this.#client.close(); // and with it the connection
    this.#client = this.#handles.forClients();
    throw Object.assign(new Error("the client has left"), { code: "ENOTCONN" });
  }

  override close(): void {
    super.close();
    this.#client.close();
  }

  /** Whether this process has descriptors left. */
  hasDescriptors(): boolean {
    const spare = this.descriptor();
    if (spare !== undefined) this.#handles.closeDescriptor(spare);
    return spare !== undefined;
  }
}

function addressOf(tell: (out: HandleAddress) => number): Deno.NetAddr | undefined {
  const out: HandleAddress = {};
  if (tell(out) !== 0 || out.address === undefined || out.port === undefined) return undefined;
  return { transport: "tcp", hostname: out.address, port: out.port };
}

/** The class of the runtime's connections. It has no name of its own; a connection shows it. */
async function connectionClass(): Promise<ConnectionClass> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  (await accepting).close();
  return connection.constructor as ConnectionClass;
}

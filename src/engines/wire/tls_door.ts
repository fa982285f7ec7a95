/** The door with TLS: `node:tls`, since only there certificates change while it listens. */

import { Buffer } from "node:buffer";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { messageOf } from "../../errors.ts";
import type { ServerCertificate } from "../../tls/certificates.ts";
import { LISTEN_QUEUE } from "../listen_queue.ts";
import type { Arrival, Door, DoorOptions, Entrant } from "./door.ts";
import { NodeLink } from "./node_link.ts";
import { readProxyHeader } from "./proxy_protocol.ts";

/** A client that has not done its TLS handshake within this time never will. */
const HANDSHAKE_MS = 10_000;

/**
 * How many may wait to be let in: `node:net` accepts all that come, so that they wait here, not in the kernel's queue.
 * Nothing of theirs is read, and whoever comes beyond that is closed.
 */
const MOST_WAITING = 1024;

/** TLS 1.2 and up, HTTP/1.1. */
export function openTlsDoor(options: DoorOptions, certificate: ServerCertificate): Promise<Door> {
  const { hostname, port, reusePort } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Door>();
  const listener = createServer({ pauseOnConnect: true });
  listener.once("error", (error) => reject(denoError(error)));
  const at = { host: hostname, port, reusePort, backlog: LISTEN_QUEUE };
  listener.listen(at, () => resolve(new TlsDoor(listener, options, certificate)));
  return promise;
}

/** A client that has not done its handshake yet. */
interface Newcomer {
  readonly socket: Socket;
  /** Told of its encrypted connection, or that it has left. */
  readonly settle: (secured: Secured | undefined) => void;
}

type Secured = Pick<Entrant, "link" | "local">;

/** A plain listener, which reads PROXY protocol headers, hands its sockets to a TLS server that does not listen. */
class TlsDoor implements Door {
  readonly address: Deno.NetAddr;
  readonly #listener: Server;
  readonly #tls: TlsServer;
  readonly #options: DoorOptions;
  /** By their addresses, which encrypted and plain socket share. */
  readonly #newcomers = new Map<string, Newcomer>();
  /** Came while nobody asked. */
  readonly #came: Socket[] = [];
  #asking: PromiseWithResolvers<Arrival> | undefined;

  constructor(listener: Server, options: DoorOptions, certificate: ServerCertificate) {
    this.#listener = listener;
    this.#options = options;
    const address = listener.address();
    if (address === null || typeof address === "string") throw new Error("the server listens at no address");
    this.address = { transport: "tcp", hostname: address.address, port: address.port };
    this.#tls = createTlsServer({
      ...certificate,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: HANDSHAKE_MS,
    });
    this.#tls.on("secureConnection", (socket) => this.#secured(socket));
    this.#tls.on("tlsClientError", (_, socket) => socket.destroy()); // a client's affair
    listener.on("connection", (socket) => this.#arrive(socket));
    listener.on("error", (error) => this.#settleAsking()?.reject(error));
  }

  readonly setCertificate = (certificate: ServerCertificate): void => this.#tls.setSecureContext(certificate);

  accept(): Promise<Arrival> {
    const asking = Promise.withResolvers<Arrival>();
    const socket = this.#came.shift();
    if (socket === undefined) this.#asking = asking;
    else asking.resolve(this.#arrivalOf(socket));
    return asking.promise;
  }

  close(): void {
    this.#listener.close();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
    for (const socket of this.#came.splice(0)) socket.destroy();
    this.#settleAsking()?.reject(new Deno.errors.BadResource("the listener is closed"));
  }

  #arrive(socket: Socket): void {
    socket.on("error", () => {}); // "close" follows
    const asking = this.#settleAsking();
    if (asking !== undefined) asking.resolve(this.#arrivalOf(socket));
    else if (this.#came.length < MOST_WAITING) this.#came.push(socket);
    else socket.destroy();
  }

  #settleAsking(): PromiseWithResolvers<Arrival> | undefined {
    const asking = this.#asking;
    this.#asking = undefined;
    return asking;
  }

  #arrivalOf(socket: Socket): Arrival {
    return { enter: () => this.#enter(socket), close: () => socket.destroy() };
  }

  /** Sees a newcomer to its handshake. */
  async #enter(socket: Socket): Promise<Entrant | undefined> {
    if (socket.destroyed) return undefined;
    const key = keyOf(socket);
    const remote = netAddress(socket.remoteAddress, socket.remotePort);
    const { promise, resolve: settle } = Promise.withResolvers<Secured | undefined>();
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
    this.#newcomers.set(key, { socket, settle });
    socket.once("close", () => settle(undefined));
    try {
      const client = this.#options.proxyProtocol ? await takeProxyHeader(socket) : undefined;
      this.#tls.emit("connection", socket);
      const secured = await promise;
      return secured && { ...secured, remote: client === undefined ? remote : { ...remote, hostname: client } };
    } catch (error) {
      this.#options.log.debug("connection closed", { client: remote.hostname, reason: messageOf(error) });
      socket.destroy();
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#newcomers.delete(key);
    }
  }

  #secured(socket: TLSSocket): void {
    const newcomer = this.#newcomers.get(keyOf(socket));
    if (newcomer === undefined) return void socket.destroy(); // it has left already
    // Only now: whoever ends within the handshake has left.
    socket.allowHalfOpen = newcomer.socket.allowHalfOpen = true;
    newcomer.settle({ link: new NodeLink(socket), local: netAddress(socket.localAddress, socket.localPort) });
  }
}

/** Reads the header off a socket and leaves what follows; rejects when there is none. */
async function takeProxyHeader(socket: Socket): Promise<string | undefined> {
  let bytes = Buffer.alloc(0);
  while (true) {
    const header = readProxyHeader(bytes, 0, bytes.length);
    if (header !== undefined) {
      if (header.end < bytes.length) socket.unshift(bytes.subarray(header.end));
      return header.client;
    }
    const more: Buffer | null = socket.read() ?? await readable(socket).then(() => socket.read());
    if (more === null) throw new Error("the connection ended within the PROXY protocol header");
    bytes = Buffer.concat([bytes, more]);
  }
}

function readable(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const events = ["readable", "end", "close"] as const;
    const done = () => {
      for (const event of events) socket.off(event, done);
      resolve();
    };
    for (const event of events) socket.on(event, done);
  });
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function netAddress(hostname = "", port = 0): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}

/** As `Deno.listen` would say it, for whoever tells people. */
function denoError(error: Error): Error {
  const code = "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return new Deno.errors.AddrInUse(error.message, { cause: error });
  if (code === "EACCES") return new Deno.errors.PermissionDenied(error.message, { cause: error });
  if (code === "EADDRNOTAVAIL") return new Deno.errors.AddrNotAvailable(error.message, { cause: error });
  return error;
}

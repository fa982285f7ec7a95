/** The door with TLS: `node:tls`, since only there certificates change while it listens. */

import { Buffer } from "node:buffer";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { messageOf } from "../../errors.ts";
import type { ServerCertificate } from "../../tls/certificates.ts";
import { LISTEN_QUEUE } from "../listen_queue.ts";
import type { Arrival, Door, DoorOptions } from "./door.ts";
import { NodeLink } from "./node_link.ts";
import { readProxyHeader } from "./proxy_protocol.ts";

/** A client that has not done its TLS handshake within this time never will. */
const HANDSHAKE_MS = 10_000;

/** TLS 1.2 and up, HTTP/1.1. */
export function openTlsDoor(options: DoorOptions, certificate: ServerCertificate): Promise<Door> {
  const { hostname, port, reusePort } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Door>();
  const listener = createServer({ allowHalfOpen: true });
  listener.once("error", (error) => reject(denoError(error)));
  const at = { host: hostname, port, reusePort, backlog: LISTEN_QUEUE };
  listener.listen(at, () => resolve(new TlsDoor(listener, options, certificate)));
  return promise;
}

/** A client that has not done its handshake yet. */
interface Newcomer {
  readonly socket: Socket;
  readonly timer: ReturnType<typeof setTimeout>;
  /** The address that a PROXY protocol header has told. */
  client?: string | undefined;
}

/** A plain listener, which reads PROXY protocol headers, hands its sockets to a TLS server that does not listen. */
class TlsDoor implements Door {
  readonly address: Deno.NetAddr;
  readonly #listener: Server;
  readonly #tls: TlsServer;
  readonly #options: DoorOptions;
  /** By their addresses, which encrypted and plain socket share. */
  readonly #newcomers = new Map<string, Newcomer>();
  /** Those who came while nobody asked, and those who ask while nobody came: one of the two is empty. */
  readonly #arrived: Arrival[] = [];
  readonly #asking: PromiseWithResolvers<Arrival>[] = [];

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
      allowHalfOpen: true,
    });
    this.#tls.on("secureConnection", (socket) => this.#arrive(socket));
    this.#tls.on("tlsClientError", (_, socket) => socket.destroy()); // a client's affair
    listener.on("connection", (socket) => void this.#receive(socket));
    listener.on("error", (error) => this.#asking.shift()?.reject(error));
  }

  readonly setCertificate = (certificate: ServerCertificate): void => this.#tls.setSecureContext(certificate);

  accept(): Promise<Arrival> {
    const arrival = this.#arrived.shift();
    if (arrival !== undefined) return Promise.resolve(arrival);
    const asking = Promise.withResolvers<Arrival>();
    this.#asking.push(asking);
    return asking.promise;
  }

  close(): void {
    this.#listener.close();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
    for (const { link } of this.#arrived.splice(0)) link.close();
    for (const { reject } of this.#asking.splice(0)) reject(new Deno.errors.BadResource("the listener is closed"));
  }

  /** Sees a newcomer to its handshake. */
  async #receive(socket: Socket): Promise<void> {
    const key = keyOf(socket);
    const newcomer: Newcomer = { socket, timer: setTimeout(() => socket.destroy(), HANDSHAKE_MS) };
    this.#newcomers.set(key, newcomer);
    socket.on("error", () => {}); // "close" follows
    socket.once("close", () => this.#forget(key));
    if (this.#options.proxyProtocol) {
      try {
        newcomer.client = await takeProxyHeader(socket);
      } catch (error) {
        this.#options.log.debug("connection closed", { client: socket.remoteAddress, reason: messageOf(error) });
        return void socket.destroy();
      }
    }
    this.#tls.emit("connection", socket);
  }

  #forget(key: string): Newcomer | undefined {
    const newcomer = this.#newcomers.get(key);
    clearTimeout(newcomer?.timer);
    this.#newcomers.delete(key);
    return newcomer;
  }

  #arrive(socket: TLSSocket): void {
    const newcomer = this.#forget(keyOf(socket));
    if (newcomer === undefined) return void socket.destroy(); // it has left already
    const remote = netAddress(socket.remoteAddress, socket.remotePort);
    const arrival = {
      link: new NodeLink(socket),
      remote: newcomer.client === undefined ? remote : { ...remote, hostname: newcomer.client },
      local: netAddress(socket.localAddress, socket.localPort),
    };
    const asking = this.#asking.shift();
    if (asking === undefined) this.#arrived.push(arrival);
    else asking.resolve(arrival);
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

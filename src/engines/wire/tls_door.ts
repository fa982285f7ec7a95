/** The door with TLS: `node:tls`, since only there certificates change while it listens. */

import { createServer, type Server, type TLSSocket } from "node:tls";
import type { ServerCertificate } from "../../tls/certificates.ts";
import type { Arrival, Door, DoorOptions } from "./door.ts";
import { NodeLink } from "./node_link.ts";

/** A TLS handshake that is not done within this time never will be. */
const HANDSHAKE_MS = 10_000;

/** TLS 1.2 and up, HTTP/1.1. */
export function openTlsDoor(
  { hostname, port, reusePort }: DoorOptions,
  certificate: ServerCertificate,
): Promise<Door> {
  const { promise, resolve, reject } = Promise.withResolvers<Door>();
  const server = createServer({
    ...certificate,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: HANDSHAKE_MS,
    allowHalfOpen: true,
  });
  server.once("error", (error) => reject(denoError(error)));
  server.listen({ host: hostname, port, reusePort }, () => resolve(new TlsDoor(server)));
  return promise;
}

class TlsDoor implements Door {
  readonly address: Deno.NetAddr;
  readonly #server: Server;
  /** Those who came while nobody asked, and those who ask while nobody came: one of the two is empty. */
  readonly #arrived: Arrival[] = [];
  readonly #asking: PromiseWithResolvers<Arrival>[] = [];

  constructor(server: Server) {
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server listens at no address");
    this.address = { transport: "tcp", hostname: address.address, port: address.port };
    server.on("secureConnection", (socket) => this.#arrive(socket));
    server.on("tlsClientError", () => {}); // a client's affair; its socket is closed
    server.on("error", (error) => this.#asking.shift()?.reject(error));
  }

  readonly setCertificate = (certificate: ServerCertificate): void => this.#server.setSecureContext(certificate);

  accept(): Promise<Arrival> {
    const arrival = this.#arrived.shift();
    if (arrival !== undefined) return Promise.resolve(arrival);
    const asking = Promise.withResolvers<Arrival>();
    this.#asking.push(asking);
    return asking.promise;
  }

  close(): void {
    this.#server.close();
    for (const { link } of this.#arrived.splice(0)) link.close();
    for (const { reject } of this.#asking.splice(0)) reject(new Deno.errors.BadResource("the listener is closed"));
  }

  #arrive(socket: TLSSocket): void {
    const arrival = {
      link: new NodeLink(socket),
      remote: netAddress(socket.remoteAddress, socket.remotePort),
      local: netAddress(socket.localAddress, socket.localPort),
    };
    const asking = this.#asking.shift();
    if (asking === undefined) this.#arrived.push(arrival);
    else asking.resolve(arrival);
  }
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

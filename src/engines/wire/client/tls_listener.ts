/** The listener with TLS. It uses `node:tls`: only there a certificate can change while the port stays open. */

import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { messageOf } from "../../../errors.ts";
import { type AcceptedConnection, Acceptor } from "../../../net/acceptor.ts";
import { peerAddress } from "../../../net/peer.ts";
import type { ServerCertificate } from "../../../tls/server_certificate.ts";
import type { EstablishedConnection, Listener, ListenerOptions } from "./listener.ts";
import type { Link } from "../link.ts";
import { LinkStream } from "../link_stream.ts";
import { NodeLink } from "../node_link.ts";
import { readProxyHeader } from "./proxy_protocol.ts";

/** A client that has not done its TLS handshake within this time never will. */
const HANDSHAKE_MS = 10_000;

/** What a PROXY protocol header is read into: the longest, and some of what follows it. */
const HEADER_BYTES = 4 * 1024;

/** Listens with TLS 1.2 and up, for HTTP/1.1. */
export function listenTls(options: ListenerOptions, certificate: ServerCertificate): Listener {
  return new TlsListener(options, certificate);
}

/** Listens itself and encrypts what it accepts: a server of `node:tls` never accepts again once descriptors ran out. */
class TlsListener implements Listener {
  readonly address: Deno.NetAddr;
  readonly #acceptor: Acceptor;
  readonly #options: ListenerOptions;
  readonly #handshaking = new Set<LinkStream>();
  #context: SecureContext;

  constructor(options: ListenerOptions, certificate: ServerCertificate) {
    this.#options = options;
    this.#context = contextOf(certificate);
    this.#acceptor = new Acceptor({
      ...options,
      onAccept: (accepted) =>
        options.onAccept({ establish: () => this.#establish(accepted), close: () => accepted.link.close() }),
    });
    this.address = this.#acceptor.address;
  }

  readonly setCertificate = (certificate: ServerCertificate): void => {
    this.#context = contextOf(certificate);
  };

  close(): Promise<void> {
    const closed = this.#acceptor.close();
    for (const stream of this.#handshaking) stream.destroy();
    return closed;
  }

  /** Reads the PROXY protocol header, if there is to be one, and makes the handshake. */
  async #establish({ link, remote, local }: AcceptedConnection): Promise<EstablishedConnection | undefined> {
    const stream = new LinkStream(link);
    const timer = setTimeout(() => stream.destroy(), HANDSHAKE_MS);
    this.#handshaking.add(stream);
    try {
      const client = this.#options.proxyProtocol ? await takeProxyHeader(link, stream) : undefined;
      const socket = await shakeHands(stream, this.#context);
      return {
        link: new NodeLink(socket, stream),
        local,
        remote: client === undefined ? remote : { ...remote, hostname: client },
      };
    } catch (error) {
      this.#options.log.debug("connection closed", { client: peerAddress(remote.hostname), reason: messageOf(error) });
      stream.destroy();
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#handshaking.delete(stream);
    }
  }
}

function contextOf(certificate: ServerCertificate): SecureContext {
  return createSecureContext({ ...certificate, minVersion: "TLSv1.2" });
}

/** Rejects when the client has left, or speaks something else. */
function shakeHands(stream: LinkStream, secureContext: SecureContext): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = new TLSSocket(stream, { isServer: true, secureContext, ALPNProtocols: ["http/1.1"] });
  const left = () => reject(new Error("the client left during the handshake"));
  const ends = ["end", "close"] as const;
  for (const end of ends) stream.once(end, left);
  socket.on("error", reject); // of no effect after the handshake: whoever has the link by then is told
  socket.once("secure", () => {
    for (const end of ends) stream.off(end, left);
    socket.allowHalfOpen = true; // only now: whoever ends within the handshake has left
    resolve(socket);
  });
  return promise;
}

/** Reads the header off a connection and leaves what follows to its stream. */
async function takeProxyHeader(link: Link, stream: LinkStream): Promise<string | undefined> {
  const bytes = new Uint8Array(HEADER_BYTES);
  let end = 0;
  while (true) {
    const count = await link.read(bytes.subarray(end));
    if (count === null) throw new Error("the connection ended within the PROXY protocol header");
    end += count;
    const header = readProxyHeader(bytes, 0, end);
    if (header === undefined) continue;
    if (header.end < end) stream.unshift(bytes.slice(header.end, end));
    return header.client;
  }
}

/** The listener with TLS. It uses `node:tls`, because only there can a certificate change while the port stays open. */

import { createSecureContext, type SecureContext, TLSSocket, type TLSSocketOptions } from "node:tls";
import { messageOf } from "../../../errors.ts";
import { type AcceptedConnection, Acceptor } from "../../../net/acceptor.ts";
import type { BoundAddress } from "../../../net/listen_address.ts";
import { ByName } from "../../../tls/by_name.ts";
import { ClientIdentities } from "../../../tls/client_identity.ts";
import type { NamedCertificate, ServerTls } from "../../../tls/server_certificate.ts";
import type { EstablishedConnection, Listener, ListenerOptions } from "./listener.ts";
import type { Link } from "../link.ts";
import { LinkStream } from "../link_stream.ts";
import { NodeLink } from "../node_link.ts";
import { readProxyHeader } from "./proxy_protocol.ts";
import { shownCertificates } from "./shown_certificates.ts";

/** The time limit for the PROXY protocol header and the TLS handshake. */
const HANDSHAKE_MS = 10_000;

/** The buffer for a PROXY protocol header: enough for the longest one and some of the bytes after it. */
const HEADER_BYTES = 4 * 1024;

export interface TlsListenerOptions extends ListenerOptions {
  /**
   * Returns the answer to a client that speaks plain HTTP.
   *
   * @param client its address
   */
  readonly refusePlainHttp: (client: string) => Uint8Array;
}

/** Listens with TLS 1.2 or later, for HTTP/1.1. */
export function listenTls(options: TlsListenerOptions, tls: ServerTls): Listener {
  return new TlsListener(options, tls);
}

/**
 * Accepts connections itself and encrypts them. A server of `node:tls` stops accepting for ever when file descriptors
 * have run out once.
 */
class TlsListener implements Listener {
  readonly address: BoundAddress;
  readonly #acceptor: Acceptor;
  readonly #options: TlsListenerOptions;
  readonly #handshaking = new Set<LinkStream>();
  #contexts: Contexts;

  constructor(options: TlsListenerOptions, tls: ServerTls) {
    this.#options = options;
    this.#contexts = new Contexts(tls);
    this.#acceptor = new Acceptor({
      ...options,
      onAccept: (accepted) =>
        options.onAccept({ establish: () => this.#establish(accepted), close: () => accepted.link.close() }),
    });
    this.address = this.#acceptor.address;
  }

  readonly setTls = (tls: ServerTls): void => {
    this.#contexts = new Contexts(tls);
  };

  close(): Promise<void> {
    const closed = this.#acceptor.close();
    for (const stream of this.#handshaking) stream.destroy();
    return closed;
  }

  release(): Promise<void> {
    return this.#acceptor.release();
  }

  /** Reads the PROXY protocol header, if one is expected, and makes the handshake. */
  async #establish({ link, peer, local }: AcceptedConnection): Promise<EstablishedConnection | undefined> {
    const stream = new LinkStream(link);
    const timer = setTimeout(() => stream.destroy(), HANDSHAKE_MS);
    this.#handshaking.add(stream);
    try {
      const header = this.#options.proxyProtocol ? await readProxyPrefix(link) : undefined;
      // A client may have left while it was in the accept queue. Even its handshake would take a millisecond.
      if (!await stream.begins(header?.rest)) throw new Error("the client left before the handshake");
      const client = header?.client ?? peer;
      if (isLetter(stream.firstByte)) {
        await stream.answerPlainly(this.#options.refusePlainHttp(client));
        throw new Error("the client speaks plain HTTP");
      }
      const contexts = this.#contexts; // a reload may replace it during the handshake
      const socket = await shakeHands(stream, contexts);
      const clientCert = await contexts.clientCertOf(socket, stream);
      return { link: new NodeLink(socket, stream), local, peer: client, clientCert };
    } catch (error) {
      this.#options.log.debug("connection closed", { client: peer, reason: messageOf(error) });
      stream.destroy();
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#handshaking.delete(stream);
    }
  }
}

/** Whether it can begin an HTTP request, as no byte of TLS 1.2 or 1.3 does: a handshake begins with 22. */
function isLetter(byte = 0): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

type SniCallback = NonNullable<TLSSocketOptions["SNICallback"]>;

/** For a connection whose certificate is chosen: the runtime would read any other for nothing. */
const NO_CERTIFICATE = createSecureContext({ minVersion: "TLSv1.2" });

/** The secure contexts of a set of certificates. Each is made when a client first asks for one of its names. */
class Contexts {
  readonly #certificates: ByName<NamedCertificate>;
  readonly #made = new Map<NamedCertificate, SecureContext>();
  readonly #ca: string | undefined;
  /** `undefined`: clients are not asked for certificates. */
  readonly clients: ClientIdentities | undefined;
  /**
   * Gives a client the context for the name that it asks for. `undefined`: there is one certificate for all. The runtime
   * reads certificate and key for each connection, and again for one that has a choice.
   */
  readonly choose: SniCallback | undefined;

  constructor({ certificates, clients }: ServerTls) {
    this.#certificates = new ByName(certificates);
    this.#ca = clients?.ca;
    this.clients = clients && new ClientIdentities(clients);
    if (certificates.length > 1) this.choose = (name, done) => done(null, this.get(name));
  }

  /** The context for a client that asks for this name. */
  get(name: string | undefined): SecureContext {
    const certificate = this.#certificates.get(name);
    let context = this.#made.get(certificate);
    if (context === undefined) {
      const { cert, key } = certificate;
      context = createSecureContext({ cert, key, ca: this.#ca, minVersion: "TLSv1.2" });
      this.#made.set(certificate, context);
    }
    return context;
  }

  /**
   * The certificate that a client has shown in its handshake: see `RequestHead.clientCert`.
   *
   * @throws when clients must have a valid one and this one has not. The runtime lets those with an invalid one pass
   */
  async clientCertOf(socket: TLSSocket, stream: LinkStream): Promise<string | null | undefined> {
    if (this.clients === undefined) return undefined;
    stream.readStop(); // until somebody reads
    const header = await this.clients.headerFor(shownCertificates(socket));
    if (header === null && this.clients.require) throw new Error("the client has shown no valid certificate");
    if (socket.destroyed) throw new Error("the client left during the handshake");
    return header;
  }
}

/** Makes the handshake. Rejects if the client leaves, or does not speak TLS. */
function shakeHands(stream: LinkStream, contexts: Contexts): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: contexts.choose === undefined ? contexts.get(undefined) : NO_CERTIFICATE,
    ...contexts.choose === undefined ? {} : { SNICallback: contexts.choose },
    ALPNProtocols: ["http/1.1"],
    requestCert: contexts.clients !== undefined,
    rejectUnauthorized: contexts.clients?.require === true,
  });
  const left = () => reject(new Error("the client left during the handshake"));
  const ends = ["end", "close"] as const;
  for (const end of ends) stream.once(end, left);
  socket.on("error", reject); // no effect after the handshake; the owner of the link then gets the error
  socket.once("secure", () => {
    for (const end of ends) stream.off(end, left);
    socket.allowHalfOpen = true; // not earlier: a client that ends its side during the handshake has left
    resolve(socket);
  });
  return promise;
}

/** What a connection begins with: the client that the header tells of, if it tells of one, and what was read after it. */
interface ProxyPrefix {
  readonly client: string | undefined;
  readonly rest: Uint8Array;
}

async function readProxyPrefix(link: Link): Promise<ProxyPrefix> {
  const bytes = new Uint8Array(HEADER_BYTES);
  let end = 0;
  while (true) {
    const count = await link.read(bytes.subarray(end));
    if (count === null) throw new Error("the connection ended within the PROXY protocol header");
    end += count;
    const header = readProxyHeader(bytes, 0, end);
    if (header !== undefined) return { client: header.client, rest: bytes.slice(header.end, end) };
  }
}

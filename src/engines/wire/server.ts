/** The server of engine `wire`: owns the listener, and limits how many clients are connected. */

import { refused } from "../../failures.ts";
import { Pace } from "../../net/pace.ts";
import type { BoundAddress } from "../../net/listen_address.ts";
import { SharedPort } from "../../net/shared_port.ts";
import { SocketFile } from "../../net/socket_file.ts";
import type { Engine, EngineOptions, SocketSharing } from "../engine.ts";
import { listenAddressOf } from "../listen_address_of.ts";
import type { Forwarder } from "../../proxy/forwarder.ts";
import { ClientConnection } from "./client/client_connection.ts";
import {
  type EstablishedConnection,
  listen,
  type Listener,
  type ListenerOptions,
  type PendingConnection,
} from "./client/listener.ts";
import { WireContext } from "./context.ts";
import { CLOSE_LINE, ownAnswer } from "./heads.ts";

/** Starts listening; see `EngineFactory`. */
export async function startWireEngine(options: EngineOptions): Promise<Engine> {
  const { config: { proxy }, tls, reusePort, socket, log, acceptingChanged } = options;
  const { listenTls } = tls === undefined ? {} : await import("./client/tls_listener.ts"); // `node:tls` takes 20 ms to load
  const asked = await listenAddressOf(proxy, reusePort);
  const port = asked instanceof SocketFile ? undefined : await SharedPort.open(asked, socket);
  const at = port ?? asked;
  const pace = await Pace.start();
  try {
    return new WireEngine(options, { pace, port }, (onAccept) => {
      const listening = { at, proxyProtocol: proxy.proxyProtocol, log, acceptingChanged, onAccept };
      if (tls === undefined || listenTls === undefined) return listen(listening);
      return listenTls({ ...listening, refusePlainHttp: plainHttpRefusal(options.forwarder) }, tls);
    });
  } catch (error) {
    port?.close();
    pace[Symbol.dispose]();
    throw error;
  }
}

/** Browsers and people who forget the "s" would otherwise learn only that the connection was closed. */
function plainHttpRefusal(forwarder: Forwarder): (client: string) => Uint8Array {
  const error = refused("bad_request", "This port speaks HTTPS. Use https:// in place of http://.");
  return (client) => ownAnswer(forwarder.refuse(error, client), { withoutBody: false, lines: CLOSE_LINE });
}

class WireEngine implements Engine {
  readonly address: BoundAddress;
  readonly setTls: Engine["setTls"];
  readonly sharing: SocketSharing | undefined;
  readonly #context: WireContext;
  readonly #listener: Listener;
  /** Whether a connection begins with a PROXY protocol header that the client connection must read. */
  readonly #proxyProtocol: boolean;
  readonly #open = new Set<ClientConnection>();
  /** Connections that are not established yet, such as in a TLS handshake. They count for `#maxConnections`. */
  #pending = 0;
  #maxConnections: number;
  #listening = true;
  /** Whether another process accepts clients now. */
  #released = false;
  #stopped: Promise<void> | undefined;
  /** Resolved when a connection has ended or become idle. */
  #changed = Promise.withResolvers<void>();

  /** @param open opens the listener */
  constructor(
    { config, pools, forwarder, log, tls }: EngineOptions,
    { pace, port }: { readonly pace: Pace; readonly port: SharedPort | undefined },
    open: (onAccept: ListenerOptions["onAccept"]) => Listener,
  ) {
    this.#listener = open((pending) => this.#accept(pending)); // first: it may fail, and no client comes before the end
    this.address = this.#listener.address;
    this.sharing = port && { offer: () => port.offer(), resume: () => port.resume(), release: () => this.#release() };
    this.setTls = this.#listener.setTls;
    this.#context = new WireContext({ config, pools, forwarder, log, secure: tls !== undefined, pace });
    this.#proxyProtocol = config.proxy.proxyProtocol && tls === undefined;
    this.#maxConnections = config.proxy.maxConnections;
  }

  configure(config: Parameters<Engine["configure"]>[0]): void {
    this.#context.configure(config);
    this.#maxConnections = config.proxy.maxConnections;
  }

  uploadsEnd(): Promise<void> {
    return this.#context.uploads.allEnded();
  }

  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async sayGoodbye(): Promise<void> {
    for (const connection of this.#open) connection.close();
    await this.stop(); // a stop that waited for these connections, such as for an upload, continues now
  }

  /** Clients that were accepted and wait for room are served at once. They can't be given to the other process. */
  #release(): Promise<void> {
    this.#released = true;
    const released = this.#listener.release();
    this.#changed.resolve();
    return released;
  }

  async #stop(): Promise<void> {
    // Clients whose bodies are still arriving may open more connections. These are answered 503, so the port stays
    // open.
    await this.uploadsEnd();
    this.#listening = false;
    const closed = this.#listener.close();
    this.#changed.resolve(); // a new client may be waiting for room
    for (const connection of this.#open) {
      if (connection.idle) connection.close();
    }
    await closed;
    while (this.#open.size + this.#pending > 0) await this.#nextChange();
    await this.#context.copies.end();
    this.#context.close();
  }

  /** Settles when the next connection may be accepted. */
  async #accept(pending: PendingConnection): Promise<void> {
    await this.#untilRoom();
    if (this.#listening) void this.#serve(pending);
    else pending.close();
  }

  /**
   * Waits until there is room for one more connection. Closes the oldest idle connection, or waits until one is idle or
   * ends.
   */
  async #untilRoom(): Promise<void> {
    while (this.#open.size + this.#pending >= this.#maxConnections && this.#listening && !this.#released) {
      const { oldest } = this.#context.keepAliveTimeouts;
      if (oldest instanceof ClientConnection) oldest.close();
      else this.#context.onIdle = () => this.#changed.resolve();
      await this.#nextChange();
    }
    this.#context.onIdle = undefined;
  }

  async #serve(pending: PendingConnection): Promise<void> {
    this.#pending++;
    const established = await pending.establish();
    this.#pending--;
    if (established !== undefined && this.#listening) return this.#serveRequests(established);
    established?.link.close();
    this.#changed.resolve();
  }

  /** No asynchronous function waits for the end: it would be much of the memory of an idle connection. */
  #serveRequests({ link, peer, local, clientCert }: EstablishedConnection): void {
    const address = { peer, secure: this.#context.secure, clientCert, local };
    const connection = new ClientConnection(link, address, this.#context);
    this.#open.add(connection);
    void connection.serve({ proxyProtocol: this.#proxyProtocol }).then(() => {
      this.#open.delete(connection);
      this.#changed.resolve();
    });
  }

  async #nextChange(): Promise<void> {
    await this.#changed.promise;
    this.#changed = Promise.withResolvers();
  }
}

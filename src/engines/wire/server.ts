/** The `wire` engine's front door: the listener, and how many may come in. */

import { messageOf } from "../../errors.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { ClientConnection } from "./client_connection.ts";
import { WireContext } from "./context.ts";

/** How often a stopping engine looks whether the last request body has arrived. */
const UPLOAD_POLL_MS = 10;

/** How long the listener rests when the system has no more to give, such as file descriptors. */
const EXHAUSTED_MS = 100;

/** Starts listening; see `EngineFactory`. */
export function startWireEngine(options: EngineOptions): Engine {
  return new WireEngine(options);
}

class WireEngine implements Engine {
  readonly address: Deno.NetAddr;
  readonly setCertificate = undefined;
  readonly #context: WireContext;
  readonly #listener: Deno.TcpListener | Deno.TlsListener;
  readonly #log: EngineOptions["log"];
  readonly #open = new Set<ClientConnection>();
  readonly #accepting: Promise<void>;
  #maxConnections: number;
  #listening = true;
  /** Tells whoever waits for a connection to end or become idle. */
  #changed = Promise.withResolvers<void>();

  constructor({ config, pool, forwarder, log, certificate, reusePort }: EngineOptions) {
    this.#log = log;
    this.#context = new WireContext({ config, pool, forwarder, log, secure: certificate !== undefined });
    this.#maxConnections = config.proxy.maxConnections;
    const at = { hostname: config.proxy.host, port: config.proxy.port, reusePort };
    this.#listener = certificate === undefined
      ? Deno.listen(at)
      : Deno.listenTls({ ...at, ...certificate, alpnProtocols: ["http/1.1"] });
    this.address = this.#listener.addr;
    this.#accepting = this.#accept();
  }

  configure(config: Parameters<Engine["configure"]>[0]): void {
    this.#context.configure(config);
    this.#maxConnections = config.proxy.maxConnections;
  }

  async stop(): Promise<void> {
    this.#context.stopping = true;
    // Whose body is still arriving may have more connections on their way: these are told to go elsewhere.
    while (this.#context.uploads > 0) await new Promise((resolve) => setTimeout(resolve, UPLOAD_POLL_MS));
    this.#listening = false;
    this.#listener.close();
    for (const connection of this.#open) {
      if (connection.idle) connection.close();
    }
    await this.#accepting;
    while (this.#open.size > 0) await this.#nextChange();
    this.#context.close();
  }

  sayGoodbye(): void {
    for (const connection of this.#open) connection.close();
  }

  async #accept(): Promise<void> {
    while (this.#listening) {
      await this.#untilRoom();
      try {
        const connection = await this.#listener.accept();
        await this.#untilRoom();
        void this.#serve(connection);
      } catch (error) {
        if (!this.#listening) return;
        // A connection that was reset before it was accepted, or no more file descriptors.
        this.#log.warn("connection not accepted", { reason: messageOf(error) });
        await new Promise((resolve) => setTimeout(resolve, EXHAUSTED_MS));
      }
    }
  }

  /** The oldest idle connection leaves; if none is idle, whoever is next waits in the kernel's queue. */
  async #untilRoom(): Promise<void> {
    while (this.#open.size >= this.#maxConnections && this.#listening) {
      const { oldest } = this.#context.keepAliveTimeouts;
      if (oldest instanceof ClientConnection) oldest.close();
      await this.#nextChange();
    }
  }

  async #serve(link: Deno.TcpConn | Deno.TlsConn): Promise<void> {
    if ("setNoDelay" in link) link.setNoDelay(true);
    const { hostname, port } = link.localAddr;
    const local = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
    const address = { peer: link.remoteAddr.hostname, secure: this.#context.secure, local };
    const connection = new ClientConnection(link, address, this.#context);
    this.#open.add(connection);
    await connection.serve();
    this.#open.delete(connection);
    this.#changed.resolve();
  }

  async #nextChange(): Promise<void> {
    await this.#changed.promise;
    this.#changed = Promise.withResolvers();
  }
}

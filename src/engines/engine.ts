/**
 * The interface of an engine, which moves bytes between clients and backends. Each implementation has its own folder
 * here.
 */

import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { BoundAddress } from "../net/listen_address.ts";
import type { ServerPools } from "../pool/server_pools.ts";
import type { Forwarder } from "../proxy/forwarder.ts";
import type { Securing, ServerTls } from "../tls/server_certificate.ts";

export interface EngineOptions extends Securing {
  readonly config: Config;
  /** The pools. Connections to a backend are kept while it is in its pool. */
  readonly pools: ServerPools;
  /** Makes all decisions that are not about bytes. */
  readonly forwarder: Forwarder;
  readonly log: Log;
  /** Whether other isolates listen at the same address. The system then distributes the connections. */
  readonly reusePort: boolean;
  /**
   * The descriptor of a socket that listens, at which clients are to be accepted. The engine owns it. `undefined`: the
   * engine opens a socket at the address of the configuration.
   */
  readonly socket?: number | undefined;
  /** Called when no client can be accepted, and when clients can be accepted again. */
  readonly acceptingChanged: (accepting: boolean) => void;
}

/** Another process can take over a socket at which an engine listens. */
export interface SocketSharing {
  /**
   * Another descriptor of the socket, which the caller owns. `undefined`: none is left in the process. Clients wait in the
   * kernel's accept queue until `resume` is called.
   */
  offer(): number | undefined;
  /** Accepts clients again. */
  resume(): void;
  /**
   * Accepts no more clients, because another process does. Connections stay open. Tell the forwarder that it leaves, so
   * that each is closed after its next answer.
   */
  release(): Promise<void>;
}

/** A proxy server that is listening. */
export interface Engine {
  /** The address that it listens at: a port, or a unix socket. */
  readonly address: BoundAddress;
  /** Uses the limits of another configuration from the next request on. */
  configure(config: Config): void;
  /**
   * Uses other certificates for clients that connect from now on. Open connections keep theirs. Must not be called if it
   * listens without TLS. `undefined`: the engine can't change certificates without a restart.
   */
  readonly setTls: ((tls: ServerTls) => void) | undefined;
  /** `undefined`: no other process can take over its socket. */
  readonly sharing: SocketSharing | undefined;
  /**
   * Settles when no request body is arriving in this isolate. A stop waits for this first, while the port is open and
   * the forwarder is stopped. If several isolates serve the port, they close it when this has settled in all of them.
   */
  uploadsEnd(): Promise<void>;
  /**
   * Stops gracefully, after the forwarder has stopped. Accepts no new connections, lets requests in flight end, and
   * closes idle connections. Settles when nothing is left. A caller that can't wait ends the isolate.
   */
  stop(): Promise<void>;
  /**
   * Ends what is still open when the time for a stop is over. Tells WebSockets that the proxy goes away, if the engine
   * can, and cuts what the engine can cut. Settles when those have ended. A caller that can't wait ends the isolate.
   */
  sayGoodbye(): Promise<void>;
}

/**
 * Starts listening.
 *
 * @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound
 */
export type EngineFactory = (options: EngineOptions) => Engine | Promise<Engine>;

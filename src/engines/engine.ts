/** What an engine is: how bytes move between clients and backends. Its implementations stand in folders beside this. */

import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { ServerPool } from "../pool/server_pool.ts";
import type { Forwarder } from "../proxy/forwarder.ts";
import type { Securing, ServerCertificate } from "../tls/server_certificate.ts";

export interface EngineOptions extends Securing {
  readonly config: Config;
  /** Connections to a backend are kept while it is in its pool. */
  readonly pools: readonly ServerPool[];
  /** Decides everything that is not about bytes. */
  readonly forwarder: Forwarder;
  readonly log: Log;
  /** Whether other isolates listen at the same address: the system shares connections out among them. */
  readonly reusePort: boolean;
  /** Told when it can accept no client, and when it can again. */
  readonly acceptingChanged: (accepting: boolean) => void;
}

/** A proxy server that is listening. */
export interface Engine {
  /** Where it listens. */
  readonly address: Deno.NetAddr;
  /** Goes by other limits from the next request on. */
  configure(config: Config): void;
  /**
   * Shows clients that connect from now on another certificate; connections that are open keep theirs. Not to be called
   * where it listens without TLS. `undefined`: the engine can't while it listens, another one takes a restart.
   */
  readonly setCertificate: ((certificate: ServerCertificate) => void) | undefined;
  /**
   * Settles when no request body is arriving any more, here. A stop waits for it first, with the port open and the
   * forwarder stopped; where others serve the port too, it is to be closed when that is so everywhere.
   */
  uploadsEnd(): Promise<void>;
  /**
   * Stops gracefully, once the forwarder has: takes no new connections, lets the requests in flight finish, lets go of
   * idle connections. Settles when nothing is left. Whoever can't wait ends the isolate.
   */
  stop(): Promise<void>;
  /**
   * Time is up for what is still open: tells WebSockets that the proxy goes away, as far as the protocol has words, and
   * cuts what the engine can cut. Settles when those have ended; whoever can't wait ends the isolate.
   */
  sayGoodbye(): Promise<void>;
}

/**
 * Starts listening.
 *
 * @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound
 */
export type EngineFactory = (options: EngineOptions) => Engine | Promise<Engine>;

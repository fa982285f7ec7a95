/** Keeps `Deno.serve` running: the runtime's server ends when no file descriptor is left for a client. */

import { messageOf } from "../errors.ts";
import type { Listening } from "./acceptor.ts";
import { type BoundAddress, boundAt, type ListenAddress, sameAddress } from "./listen_address.ts";
import { LISTEN_QUEUE } from "./listen_queue.ts";
import { RareLine } from "./rare_line.ts";
import { SocketFile } from "./socket_file.ts";
import { watchSocket } from "./socket_loss.ts";

/** The pause before the server is opened again. */
const EXHAUSTED_MS = 100;

/** If a server that was opened again has not ended for this long, it can accept clients. */
const PROVEN_MS = 10;

type Serving = Pick<Deno.ServeOptions, "onError"> & Partial<Deno.TlsCertifiedKeyPem> & {
  readonly automaticCompression?: boolean;
};

type ServeAt =
  | Pick<Deno.ServeUnixOptions, "path">
  | Pick<Deno.ServeTcpOptions, "hostname" | "port" | "reusePort" | "tcpBacklog">;

export interface LastingServerOptions extends Omit<Listening, "at"> {
  readonly at: ListenAddress;
  /** Options of the runtime's server. */
  readonly serving: Serving;
  readonly handle: Deno.ServeHandler<BoundAddress>;
}

/** A listening server. If it ends unexpectedly, another one takes its port. Open connections continue. */
export class LastingServer {
  readonly address: BoundAddress;
  readonly #options: LastingServerOptions;
  readonly #refused: RareLine;
  readonly #cut = new AbortController();
  #server: Deno.HttpServer<BoundAddress>;
  /** Servers whose sockets are lost. Their connections continue. */
  readonly #lost: Deno.HttpServer<BoundAddress>[] = [];
  /** Runs until the server is to be opened again, and then until it has shown that it accepts clients. */
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #stopping = false;
  /** Whether the runtime has been told to end by itself: it can't be told to cut after that, and would throw. */
  #endsByItself = false;

  /** @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound */
  constructor(options: LastingServerOptions) {
    const { log, at } = options;
    this.#options = options;
    this.#refused = new RareLine((reason, times) => log.warn("connection not accepted", { reason, times }));
    this.#server = this.#open(at);
    this.address = boundAt(at, this.#server);
  }

  /** Accepts no more requests; settles when those in flight are answered. */
  async shutdown(): Promise<void> {
    this.#stop();
    this.#endsByItself = true;
    const ended = Promise.all([this.#server, ...this.#lost].map((server) => server.shutdown()));
    this.#removeFile();
    await ended;
  }

  /**
   * Ends at once and closes every connection. Returns whether it did: after `shutdown`, only the end of the process
   * closes those that are left.
   */
  async cut(): Promise<boolean> {
    if (this.#endsByItself) return false;
    this.#stop();
    this.#cut.abort();
    this.#removeFile();
    await Promise.allSettled([this.#server, ...this.#lost].map(({ finished }) => finished)); // may have ended before
    return true;
  }

  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#reopening);
    this.#refused.close();
  }

  /** The listener is closed at once when the server begins to end. */
  #removeFile(): void {
    if (this.#options.at instanceof SocketFile) this.#options.at.remove();
  }

  #open(at: ListenAddress): Deno.HttpServer<BoundAddress> {
    const server = this.#listen(at);
    server.finished.catch((error) => {
      if (this.#stopping || this.#lost.includes(server)) return;
      this.#refused.happened(messageOf(error));
      this.#options.acceptingChanged(false);
      this.#reopenLater();
    });
    if (at instanceof SocketFile) {
      watchSocket(at, this.#options.log, () => {
        this.#lost.push(server);
        this.#options.acceptingChanged(false);
        this.#reopenLater();
      });
    }
    return server;
  }

  #listen(at: ListenAddress): Deno.HttpServer<BoundAddress> {
    if (at instanceof SocketFile) return at.open((path) => this.#serve({ path }), (server) => void server.shutdown());
    const { hostname, port, reusePort = false } = at;
    return this.#serve({ hostname, port, reusePort, tcpBacklog: LISTEN_QUEUE });
  }

  #serve(at: ServeAt): Deno.HttpServer<BoundAddress> {
    const { serving, handle } = this.#options;
    // The types know a server at a port, and another one at a socket.
    const serve: (options: object, handler: typeof handle) => Deno.HttpServer<BoundAddress> = Deno.serve;
    return serve({ ...serving, ...at, signal: this.#cut.signal, onListen: () => {} }, handle);
  }

  #reopenLater(): void {
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      try {
        this.#server = this.#open(sameAddress(this.#options.at, this.address));
        this.#reopening = setTimeout(() => this.#options.acceptingChanged(true), PROVEN_MS);
      } catch {
        this.#reopenLater(); // no file descriptor is left for the listener
      }
    }, EXHAUSTED_MS);
  }
}

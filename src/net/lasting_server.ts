/** Keeps `Deno.serve` running: the runtime's server ends when no file descriptor is left for a client. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { RareLine } from "./rare_line.ts";

/** The pause before the server is opened again. */
const EXHAUSTED_MS = 100;

/** If a server that was opened again has not ended for this long, it can accept clients. */
const PROVEN_MS = 10;

type Options = Omit<Deno.ServeTcpOptions, "signal" | "onListen"> & Partial<Deno.TlsCertifiedKeyPem> & {
  readonly automaticCompression?: boolean;
};

/** A listening server. If it ends unexpectedly, another one takes its port. Open connections continue. */
export class LastingServer {
  readonly address: Deno.NetAddr;
  readonly #options: Options;
  readonly #handler: Deno.ServeHandler<Deno.NetAddr>;
  readonly #refused: RareLine;
  readonly #acceptingChanged: (accepting: boolean) => void;
  readonly #cut = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** Runs until the server is to be opened again, and then until it has shown that it accepts clients. */
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #stopping = false;
  /** Whether the runtime has been told to end by itself: it can't be told to cut after that, and would throw. */
  #endsByItself = false;

  /**
   * @param acceptingChanged called when no client can be accepted, and when clients can be accepted again
   * @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound
   */
  constructor(
    options: Options,
    handler: Deno.ServeHandler<Deno.NetAddr>,
    log: Log,
    acceptingChanged: (accepting: boolean) => void,
  ) {
    this.#options = options;
    this.#handler = handler;
    this.#refused = new RareLine((reason, times) => log.warn("connection not accepted", { reason, times }));
    this.#acceptingChanged = acceptingChanged;
    this.#server = this.#open(options.port ?? 0);
    this.address = this.#server.addr;
  }

  /** Accepts no more requests; settles when those in flight are answered. */
  async shutdown(): Promise<void> {
    this.#stop();
    this.#endsByItself = true;
    await this.#server.shutdown();
  }

  /**
   * Ends at once and closes every connection. Returns whether it did: after `shutdown`, only the end of the process
   * closes those that are left.
   */
  async cut(): Promise<boolean> {
    if (this.#endsByItself) return false;
    this.#stop();
    this.#cut.abort();
    await this.#server.finished.catch(() => {}); // may have ended before
    return true;
  }

  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#reopening);
    this.#refused.close();
  }

  #open(port: number): Deno.HttpServer<Deno.NetAddr> {
    const server = Deno.serve(
      { ...this.#options, port, signal: this.#cut.signal, onListen: () => {} },
      this.#handler,
    );
    server.finished.catch((error) => {
      if (this.#stopping) return;
      this.#refused.happened(messageOf(error));
      this.#acceptingChanged(false);
      this.#reopenLater();
    });
    return server;
  }

  #reopenLater(): void {
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      try {
        this.#server = this.#open(this.address.port);
        this.#reopening = setTimeout(() => this.#acceptingChanged(true), PROVEN_MS);
      } catch {
        this.#reopenLater(); // no file descriptor is left for the listener
      }
    }, EXHAUSTED_MS);
  }
}

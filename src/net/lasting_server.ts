/** `Deno.serve` for good: the runtime's server ends when the system has no file descriptor left for a client. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";

/** How long nobody is let in when the system has no more to give. */
const EXHAUSTED_MS = 100;

type Options = Omit<Deno.ServeTcpOptions, "signal" | "onListen"> & Partial<Deno.TlsCertifiedKeyPem> & {
  readonly automaticCompression?: boolean;
};

/** A listening server. When it ends without being told to, another takes its port; connections that are open go on. */
export class LastingServer {
  readonly address: Deno.NetAddr;
  readonly #options: Options;
  readonly #handler: Deno.ServeHandler<Deno.NetAddr>;
  readonly #log: Log;
  readonly #cut = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #stopping = false;

  /** @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound */
  constructor(options: Options, handler: Deno.ServeHandler<Deno.NetAddr>, log: Log) {
    this.#options = options;
    this.#handler = handler;
    this.#log = log;
    this.#server = this.#open(options.port ?? 0);
    this.address = this.#server.addr;
  }

  /** Takes no more requests; settles when those under way are answered. */
  async shutdown(): Promise<void> {
    this.#stop();
    await this.#server.shutdown();
  }

  /** Ends at once, with every connection. */
  async cut(): Promise<void> {
    this.#stop();
    this.#cut.abort();
    await this.#server.finished.catch(() => {}); // it had ended before
  }

  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#reopening);
  }

  #open(port: number): Deno.HttpServer<Deno.NetAddr> {
    const server = Deno.serve(
      { ...this.#options, port, signal: this.#cut.signal, onListen: () => {} },
      this.#handler,
    );
    server.finished.catch((error) => {
      this.#log.warn("connection not accepted", { reason: messageOf(error) });
      this.#reopenLater();
    });
    return server;
  }

  #reopenLater(): void {
    if (this.#stopping) return;
    this.#reopening = setTimeout(() => {
      try {
        this.#server = this.#open(this.address.port);
      } catch {
        this.#reopenLater(); // a descriptor for the listener itself is missing
      }
    }, EXHAUSTED_MS);
  }
}

/** `Deno.serve` for good: the runtime's server ends when the system has no file descriptor left for a client. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { RareLine } from "./rare_line.ts";

/** How long nobody is let in when the system has no more to give. */
const EXHAUSTED_MS = 100;

/** A server that was opened anew can accept when it has not ended again for this long. */
const PROVEN_MS = 10;

type Options = Omit<Deno.ServeTcpOptions, "signal" | "onListen"> & Partial<Deno.TlsCertifiedKeyPem> & {
  readonly automaticCompression?: boolean;
};

/** A listening server. When it ends without being told to, another takes its port; connections that are open go on. */
export class LastingServer {
  readonly address: Deno.NetAddr;
  readonly #options: Options;
  readonly #handler: Deno.ServeHandler<Deno.NetAddr>;
  readonly #refused: RareLine;
  readonly #doorChanged: (open: boolean) => void;
  readonly #cut = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** Runs until it is to be opened anew, and then until it has proven that it accepts. */
  #reopening: ReturnType<typeof setTimeout> | undefined;
  #stopping = false;

  /**
   * @param doorChanged told when no client can be accepted, and when clients can be again
   * @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound
   */
  constructor(
    options: Options,
    handler: Deno.ServeHandler<Deno.NetAddr>,
    log: Log,
    doorChanged: (open: boolean) => void,
  ) {
    this.#options = options;
    this.#handler = handler;
    this.#refused = new RareLine((reason, times) => log.warn("connection not accepted", { reason, times }));
    this.#doorChanged = doorChanged;
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
      this.#doorChanged(false);
      this.#reopenLater();
    });
    return server;
  }

  #reopenLater(): void {
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      try {
        this.#server = this.#open(this.address.port);
        this.#reopening = setTimeout(() => this.#doorChanged(true), PROVEN_MS);
      } catch {
        this.#reopenLater(); // a descriptor for the listener itself is missing
      }
    }, EXHAUSTED_MS);
  }
}

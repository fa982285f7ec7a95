/** A network between a client and a server that delays, loses, cuts and lies. */

import { closeQuietly } from "../../src/net/close_quietly.ts";

/** Passes connections on to a port of this machine, as badly as a test says. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #work = new Set<Promise<void>>();
  readonly #to: number;
  readonly #stopping = new AbortController();
  /** How long the server's bytes are held. */
  delayMs = 0;
  /** Whether bytes of the client are lost. */
  dropsRequests = false;
  /** Whether bytes of the server are lost. */
  dropsReplies = false;
  /** Whether new connections are closed at once. */
  refuses = false;
  /** Sent instead of the server's bytes. */
  lie: Uint8Array | undefined;

  constructor(to: number) {
    this.#to = to;
    this.#track(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Ends all connections. New ones are accepted. */
  cut(): void {
    for (const connection of this.#connections) closeQuietly(connection);
    this.#connections.clear();
  }

  /** From now on nobody gets through, until `join`. */
  split(): void {
    this.refuses = true;
    this.cut();
  }

  join(): void {
    this.refuses = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#listener.close();
    this.cut();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      if (this.refuses) closeQuietly(client);
      else this.#track(this.#pass(client));
    }
  }

  async #pass(client: Deno.Conn): Promise<void> {
    this.#connections.add(client);
    try {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#to });
      this.#connections.add(server);
      const there = this.#copy(client, server, (bytes) => this.dropsRequests ? undefined : bytes);
      await Promise.allSettled([there, this.#replies(server, client)]);
      closeQuietly(server);
    } finally {
      closeQuietly(client);
    }
  }

  #replies(server: Deno.Conn, client: Deno.Conn): Promise<void> {
    return this.#copy(server, client, async (bytes) => {
      if (this.delayMs > 0) await this.#wait(this.delayMs);
      return this.dropsReplies ? undefined : this.lie ?? bytes;
    });
  }

  async #copy(
    from: Deno.Conn,
    to: Deno.Conn,
    change: (bytes: Uint8Array) => Uint8Array | undefined | Promise<Uint8Array | undefined>,
  ): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
        let bytes = await change(buffer.slice(0, read));
        while (bytes !== undefined && bytes.length > 0) bytes = bytes.subarray(await to.write(bytes));
      }
    } finally {
      closeQuietly(to);
      closeQuietly(from);
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end);
    });
  }
}

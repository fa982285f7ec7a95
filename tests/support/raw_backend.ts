/** A backend that misbehaves byte by byte: each connection runs a script. */

import { OWN_HOST } from "./own_host.ts";

const encoder = new TextEncoder();

/** The backend's side of one connection, for a script. */
export class RawConnection {
  readonly #connection: Deno.Conn;
  /** All bytes read so far, as Latin-1 text. */
  received = "";

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Reads until `text` has come; `false` when the other side ended before. */
  async until(text: string): Promise<boolean> {
    const chunk = new Uint8Array(65536);
    while (!this.received.includes(text)) {
      const count = await this.#connection.read(chunk);
      if (count === null) return false;
      this.received += new TextDecoder("latin1").decode(chunk.subarray(0, count));
    }
    return true;
  }

  /** Reads one request's head; forgets what came before it. */
  async head(): Promise<boolean> {
    const end = this.received.indexOf("\r\n\r\n");
    if (end !== -1) this.received = this.received.slice(end + 4);
    return await this.until("\r\n\r\n");
  }

  /** Reads to the other side's end. */
  async toEnd(): Promise<void> {
    await this.until("\u0000 never sent").catch(() => {}); // a reset is an end, too
  }

  /** Reads at least one byte. Does not change `received`. `undefined`: the other side has ended. */
  async read(maxBytes = 65536): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const chunk = new Uint8Array(maxBytes);
    const count = await this.#connection.read(chunk);
    return count === null ? undefined : chunk.subarray(0, count);
  }

  /** Sends text or bytes. Fails when the other side has closed. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  /** Ends the sending side. */
  async end(): Promise<void> {
    await this.#connection.closeWrite();
  }

  /** Closes; unread bytes make the system send a reset. */
  close(): void {
    try {
      this.#connection.close();
    } catch {
      // closed already
    }
  }
}

/** A listening script runner. Dispose of it to close the listener and every connection. */
export class RawBackend implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** The connections so far, each with what it received. */
  readonly connections: RawConnection[] = [];
  readonly #listener: Deno.Listener;
  readonly #running: Promise<void>[] = [];
  readonly #accepting: Promise<void>;

  /** @param path of a unix socket to listen on, in place of a port */
  constructor(script: (connection: RawConnection, index: number) => Promise<void> | void, path?: string) {
    if (path === undefined) {
      const listener = Deno.listen({ hostname: OWN_HOST, port: 0, tcpBacklog: 4096 });
      this.#listener = listener;
      this.port = listener.addr.port;
      this.url = `http://${OWN_HOST}:${this.port}`;
    } else {
      this.#listener = Deno.listen({ transport: "unix", path });
      this.port = 0;
      this.url = `unix:${path}`;
    }
    this.#accepting = this.#accept(script);
  }

  /** One that answers every request on a connection with these bytes, whatever it asks. */
  static answering(response: string): RawBackend {
    return new RawBackend(async (connection) => {
      while (await connection.head()) await connection.send(response);
    });
  }

  /** Heads and bodies that reached it, in order of connection. */
  get received(): string {
    return this.connections.map((connection) => connection.received).join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const connection of this.connections) connection.close();
    await Promise.all(this.#running);
  }

  async #accept(script: (connection: RawConnection, index: number) => Promise<void> | void): Promise<void> {
    try {
      for await (const accepted of this.#listener) {
        const connection = new RawConnection(accepted);
        const index = this.connections.push(connection) - 1;
        // A script ends when the other side does. That does not fail the test.
        this.#running.push(
          Promise.resolve(script(connection, index)).catch(() => {}).finally(() => connection.close()),
        );
      }
    } catch {
      // the listener was closed
    }
  }
}

let refusedPort = 20_000; // below those that the system gives away (`ip_local_port_range`)

/** A port on which nothing listens, nor will unless a test does so itself. */
export function refusedUrl(): string {
  return `http://${OWN_HOST}:${refusedPort++}`;
}

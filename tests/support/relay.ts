/** A network between a client and a server, which can break off or lose connections. */

import { OWN_HOST } from "./own_host.ts";

/** Where the server listens. */
export type RelayTarget = Deno.ConnectOptions | Deno.UnixConnectOptions;

interface Pair {
  readonly ends: readonly [Deno.Conn, Deno.Conn];
  isLost: boolean;
}

/** Passes bytes on to a server, both ways. Dispose of it to cut everything. */
export class Relay implements AsyncDisposable {
  readonly port: number;
  /** Connections that were made through it. */
  connections = 0;
  readonly #target: RelayTarget;
  readonly #listener: Deno.TcpListener;
  readonly #pairs = new Set<Pair>();
  readonly #running: Promise<void>;

  constructor(target: RelayTarget) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: OWN_HOST, port: 0 });
    this.port = this.#listener.addr.port;
    this.#running = this.#accept();
  }

  /** HOST:PORT of this side. */
  get host(): string {
    return `${OWN_HOST}:${this.port}`;
  }

  /** Breaks off all connections. */
  cut(): void {
    for (const pair of this.#pairs) closeBoth(pair);
  }

  /** Loses all connections: they stay open, but no byte passes any more. New ones are not affected. */
  lose(): void {
    for (const pair of this.#pairs) pair.isLost = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#running;
  }

  async #accept(): Promise<void> {
    const open: Promise<void>[] = [];
    try {
      for await (const client of this.#listener) open.push(this.#connect(client));
    } catch {
      // it is closed
    }
    this.cut();
    await Promise.all(open);
  }

  async #connect(client: Deno.Conn): Promise<void> {
    this.connections++;
    let server: Deno.Conn;
    try {
      server = await connect(this.#target);
    } catch {
      return client.close(); // as if it had not been made
    }
    const pair: Pair = { ends: [client, server], isLost: false };
    this.#pairs.add(pair);
    await Promise.all([pass(client, server, pair), pass(server, client, pair)]);
    this.#pairs.delete(pair);
    closeBoth(pair);
  }
}

function connect(target: RelayTarget): Promise<Deno.Conn> {
  return "path" in target ? Deno.connect(target) : Deno.connect(target);
}

/** A lost connection stays as it is, whatever happens on the other side, until it is cut. */
async function pass(from: Deno.Conn, to: Deno.Conn, pair: Pair): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
      for (let sent = 0; sent < count && !pair.isLost;) sent += await to.write(buffer.subarray(sent, count));
    }
    if (!pair.isLost) closeBoth(pair);
  } catch {
    closeBoth(pair);
  }
}

function closeBoth({ ends }: Pair): void {
  for (const end of ends) {
    try {
      end.close();
    } catch {
      // it is closed already
    }
  }
}

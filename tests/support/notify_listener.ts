/** The socket of a service manager, and what a program has told it. */

import { waitFor } from "./wait.ts";

/** One message, by the names of its lines. */
export type Told = Readonly<Record<string, string>>;

/** Listens like systemd. Dispose of it to close the socket. */
export class NotifyListener implements AsyncDisposable {
  /** What `NOTIFY_SOCKET` has to be. */
  readonly name: string;
  readonly told: Told[] = [];
  readonly #socket: Deno.DatagramConn;
  readonly #listening: Promise<void>;

  /** @param name a path, or `@` and a name for an abstract socket */
  constructor(name = `@roundhouse-test-${crypto.randomUUID()}`) {
    this.name = name;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: name.replace(/^@/, "\0") });
    this.#listening = this.#listen();
  }

  /** The messages that have a line of this name. */
  with(name: string): Told[] {
    return this.told.filter((lines) => name in lines);
  }

  /** Waits for a message with this line. */
  async heard(name: string, value: string): Promise<Told> {
    const find = () => this.told.find((lines) => lines[name] === value);
    await waitFor(() => find() !== undefined, { what: `${name}=${value} in ${JSON.stringify(this.told)}` });
    return find() as Told; // `waitFor` has just found it
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#listening;
  }

  async #listen(): Promise<void> {
    for await (const [bytes] of this.#socket) {
      const lines = new TextDecoder().decode(bytes).split("\n");
      this.told.push(Object.fromEntries(lines.map((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      })));
    }
  }
}

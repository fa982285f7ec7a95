/** The socket on which a service manager is told how the program is (`NOTIFY_SOCKET`, sd_notify(3)). */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { settlesWithin } from "../settles_within.ts";

/** How long the end of the program waits for messages that were not taken yet. */
const LAST_WORDS_MS = 1000;

/** Sends messages, one after the other. A failure is logged once, and changes nothing else. */
export class NotifySocket {
  readonly #socket: Deno.DatagramConn;
  readonly #address: Deno.UnixAddr;
  readonly #log: Log;
  #sent: Promise<void> = Promise.resolve();
  #failed = false;

  /**
   * Returns `undefined`, and logs why, if the socket can't be used.
   *
   * @param name an absolute path, or `@` and a name for an abstract socket
   */
  static open(name: string, log: Log): NotifySocket | undefined {
    try {
      return new NotifySocket(name, log);
    } catch (error) {
      log.warn("service manager can't be told", { socket: name, reason: messageOf(error) });
      return undefined;
    }
  }

  private constructor(name: string, log: Log) {
    if (!name.startsWith("/") && !name.startsWith("@")) throw new Error("it is neither a path nor an abstract name");
    this.#address = { transport: "unixpacket", path: name.replace(/^@/, "\0") };
    this.#log = log;
    // The runtime sends only from a socket with a name. An abstract one leaves no file behind.
    const own = `\0roundhouse-${Deno.pid}-${crypto.randomUUID()}`;
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: own });
  }

  /** Sends lines such as `READY=1`. Settles when the service manager has them, or can't be reached. */
  send(lines: readonly string[]): Promise<void> {
    const bytes = new TextEncoder().encode(lines.join("\n"));
    return this.#sent = this.#sent.then(() => this.#send(bytes));
  }

  async close(): Promise<void> {
    await settlesWithin(this.#sent, LAST_WORDS_MS);
    this.#socket.close();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    try {
      await this.#socket.send(bytes, this.#address);
    } catch (error) {
      if (this.#failed) return;
      this.#failed = true;
      this.#log.warn("service manager can't be told", { reason: messageOf(error) });
    }
  }
}

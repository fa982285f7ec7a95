/** Waits until the runtime has looked at every socket. */

import { closeQuietly } from "./close_quietly.ts";

/** The byte that is sent to the other end. */
const BYTE = new Uint8Array(1);

/**
 * A connection of the process to itself. The runtime asks the system which sockets are ready when it has nothing else
 * to do. If something is always ready, it asks only every 61 rounds of the event loop. A byte sent here arrives after
 * it has asked. That takes 10 µs; a timer would take 2 ms, and `setImmediate` does not wait for it.
 */
export class Doorbell implements Disposable {
  readonly #button: Deno.TcpConn;
  readonly #bell: Deno.TcpConn;
  readonly #into = new Uint8Array(1);

  /** `undefined`: the connection can't be made. */
  static async install(): Promise<Doorbell | undefined> {
    const resources: { close(): void }[] = [];
    try {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      resources.push(listener);
      const button = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      resources.push(button);
      const bell = await listener.accept();
      listener.close();
      if (bell.remoteAddr.port === button.localAddr.port) return new Doorbell(button, bell);
      resources.push(bell); // a connection from another program
    } catch {
      // no file descriptors left, or no loopback interface
    }
    for (const resource of resources) closeQuietly(resource);
    return undefined;
  }

  private constructor(button: Deno.TcpConn, bell: Deno.TcpConn) {
    this.#button = button;
    this.#bell = bell;
    button.setNoDelay(true);
  }

  /** Settles once the runtime has looked; rejects when the connection is broken. Call it again only after that. */
  async ring(): Promise<void> {
    const heard = this.#bell.read(this.#into); // before the write, so that the read has to wait for the system
    const [count] = await Promise.all([heard, this.#button.write(BYTE)]);
    if (count === null) throw new Error("the doorbell's connection has ended");
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#button);
    closeQuietly(this.#bell);
  }
}

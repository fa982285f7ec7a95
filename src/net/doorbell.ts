/** Lets the runtime look at every socket before somebody goes on. */

import { closeQuietly } from "./close_quietly.ts";

/** What goes from one end to the other. */
const BYTE = new Uint8Array(1);

/**
 * A connection of the process to itself. The runtime asks the system which sockets have become ready when it has nothing
 * else to do, or, where something is always ready, only after 61 rounds of the event loop. What is rung here arrives once it
 * has asked: after 10 µs where a timer takes 2 ms, and `setImmediate` does not wait for it at all.
 */
export class Doorbell implements Disposable {
  readonly #button: Deno.TcpConn;
  readonly #bell: Deno.TcpConn;
  readonly #into = new Uint8Array(1);

  /** `undefined`: the system has no such connection to give. */
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
      resources.push(bell); // somebody else's
    } catch {
      // no descriptors, or no loopback
    }
    for (const resource of resources) closeQuietly(resource);
    return undefined;
  }

  private constructor(button: Deno.TcpConn, bell: Deno.TcpConn) {
    this.#button = button;
    this.#bell = bell;
    button.setNoDelay(true);
  }

  /** Settles once the runtime has looked; rejects when the connection has broken. Not to be rung again before. */
  async ring(): Promise<void> {
    const heard = this.#bell.read(this.#into); // before the write: it has to wait for the system's word
    const [count] = await Promise.all([heard, this.#button.write(BYTE)]);
    if (count === null) throw new Error("the doorbell's connection has ended");
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#button);
    closeQuietly(this.#bell);
  }
}

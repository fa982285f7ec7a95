/** The sockets that were handed to this process, for its workers. */

import { HeldSocket } from "../net/shared_port.ts";

/** Holds the sockets, so that they outlive each worker. Workers get descriptors of their own. */
export class WorkerSockets {
  readonly #held: readonly HeldSocket[];

  /**
   * @param descriptors owned from then on; none: the workers open sockets
   */
  static async hold(descriptors: readonly number[]): Promise<WorkerSockets> {
    return new WorkerSockets(await Promise.all(descriptors.map((descriptor) => HeldSocket.hold(descriptor))));
  }

  private constructor(held: readonly HeldSocket[]) {
    this.#held = held;
  }

  /** Whether there are any. */
  get given(): boolean {
    return this.#held.length > 0;
  }

  /**
   * A descriptor for a worker, which owns it. Workers share a socket if there are too few.
   *
   * @param isolate from 1
   * @throws when it is not a TCP socket, or the process has no descriptor left
   */
  for(isolate: number): number | undefined {
    const held = this.#held[(isolate - 1) % this.#held.length];
    if (held === undefined) return undefined;
    const descriptor = held.descriptor();
    if (descriptor === undefined) {
      throw new Error("the socket that was handed over can't be used: it is not of TCP, or no descriptor is left");
    }
    return descriptor;
  }

  close(): void {
    for (const held of this.#held) held.close();
  }
}

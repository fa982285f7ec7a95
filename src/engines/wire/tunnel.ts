/** Joins two connections: bytes go both ways until both sides have ended. */

import type { Pace } from "../../net/pace.ts";
import type { Inlet } from "./inlet.ts";
import { closeQuietly } from "../../net/close_quietly.ts";
import { type Link, writeAll } from "./link.ts";
import { Timed, type TimeoutQueue } from "./timeouts.ts";

export interface TunnelSide {
  readonly link: Link;
  readonly inlet: Inlet;
}

/** Its clock, if it has one, runs while one side has ended and the other is silent. */
export class Tunnel extends Timed {
  readonly #client: TunnelSide;
  readonly #backend: TunnelSide;
  readonly #pace: Pace;
  readonly #lingering: TimeoutQueue | undefined;
  #ended = 0;

  /**
   * @param lingering how long the second side may be silent after the first has ended. `undefined`: for ever, because
   * it may still have much to send
   */
  constructor(client: TunnelSide, backend: TunnelSide, pace: Pace, lingering: TimeoutQueue | undefined) {
    super();
    this.#client = client;
    this.#backend = backend;
    this.#pace = pace;
    this.#lingering = lingering;
  }

  /**
   * Runs until both sides have ended, or one has failed. Returns how many bytes came from the client and were sent to
   * it.
   */
  async run(): Promise<{ readonly bytesIn: number; readonly bytesOut: number }> {
    const [bytesOut, bytesIn] = await Promise.all([
      this.#pump(this.#backend, this.#client),
      this.#pump(this.#client, this.#backend),
    ]);
    this.stopClock();
    return { bytesIn, bytesOut };
  }

  goAway(): void {
    this.#cut();
  }

  timedOut(): void {
    this.#cut();
  }

  /** Moves bytes in one direction. When one side ends, the other is told. When one side fails, both are cut. */
  async #pump(from: TunnelSide, to: TunnelSide): Promise<number> {
    const { inlet } = from;
    let bytes = 0;
    try {
      // Without keep-alive, a peer that lost power would stay connected for ever. A `Deno.TlsConn` has no such method:
      // `dial` has set it before. The call fails if the link was closed before the tunnel began.
      from.link.setKeepAlive?.(true);
      while (inlet.unread > 0 || !inlet.ended) {
        if (inlet.unread === 0) {
          await inlet.more();
          const pause = this.#pace.pause();
          if (pause !== undefined) await pause;
          continue;
        }
        const { start, end } = inlet;
        await writeAll(to.link, inlet.bytes.subarray(start, end));
        bytes += end - start;
        inlet.start = end;
        if (this.#ended > 0) this.#lingering?.start(this);
      }
      if (inlet.error !== undefined) throw inlet.error;
      await to.link.closeWrite();
      if (++this.#ended === 1) this.#lingering?.start(this);
    } catch {
      this.#cut();
    }
    return bytes;
  }

  #cut(): void {
    closeQuietly(this.#client.link);
    closeQuietly(this.#backend.link);
  }
}

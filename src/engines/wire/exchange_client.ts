/** The client's side of an exchange, as far as the exchange and what carries its bodies know it. */

import type { Problem } from "../../proxy/problem.ts";
import type { Timed } from "./timeouts.ts";
import type { TunnelSide } from "./tunnel.ts";

/** Where a request's body comes from and its answer goes. Its clock runs while the body is to go on. */
export interface ExchangeClient extends Timed, TunnelSide {
  /**
   * Writes all of `bytes`; returns whether the client takes them. Never rejects.
   *
   * @param clock started anew, if it runs, whenever the client has taken a part
   */
  send(bytes: Uint8Array, clock?: Timed): Promise<boolean>;
  /** As `send`; a client that takes nothing for `timeouts.idle` has left. */
  sendInTime(bytes: Uint8Array): Promise<boolean>;
  /**
   * Sends an answer of the proxy's own.
   *
   * @param options `lines`: the connection's fields, each with its end
   */
  answer(
    problem: Problem,
    options: { readonly withoutBody: boolean; readonly lines: string },
  ): Promise<void>;
  /** Closes the connection at once; later calls do nothing. */
  close(): void;
}

/** The client's side of an exchange, as the exchange, its upload and its download see it. */

import type { OwnAnswer } from "../../proxy/exchange.ts";
import type { Timed } from "./timeouts.ts";
import type { TunnelSide } from "./tunnel.ts";

/**
 * The source of a request's body and the destination of its answer. Its clock runs while the client must send more of
 * the body.
 */
export interface ExchangeClient extends Timed, TunnelSide {
  /**
   * Writes all of `bytes`. Returns whether that succeeded. Never rejects.
   *
   * @param clock started again, if it runs, whenever the client has taken a part
   */
  send(bytes: Uint8Array, clock?: Timed): Promise<boolean>;
  /** Like `send`, but closes the connection if the client takes nothing for `timeouts.idle`. */
  sendInTime(bytes: Uint8Array): Promise<boolean>;
  /**
   * Sends an answer of the proxy itself.
   *
   * @param options `lines`: the field lines about the connection, each with its line end
   */
  answer(
    answer: OwnAnswer,
    options: { readonly withoutBody: boolean; readonly lines: string },
  ): Promise<void>;
  /** Closes the connection at once. Later calls do nothing. */
  close(): void;
}

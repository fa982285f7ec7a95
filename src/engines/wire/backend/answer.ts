/** A backend's answer, and the connection that its body arrives on. */

import type { Http1Response } from "../../../http1/response_head.ts";
import type { Answer, AttemptListener } from "../../../proxy/exchange.ts";
import type { HeaderPair } from "../../../proxy/message.ts";
import type { WireRequest } from "../request.ts";
import type { BackendConnection } from "./backend_connection.ts";

/** The exchange that the answer belongs to. */
export interface AnswerOwner {
  readonly request: WireRequest;
  /** Like `Answer.relay`. */
  relayAnswer(answer: WireAnswer, headers: HeaderPair[], listener: AttemptListener): void;
  /** Like `Answer.discard`. */
  discardAnswer(answer: WireAnswer): void;
}

export class WireAnswer implements Answer {
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly carriesTrailers: boolean;
  readonly head: Http1Response;
  readonly connection: BackendConnection;
  readonly #owner: AnswerOwner;

  constructor(head: Http1Response, connection: BackendConnection, owner: AnswerOwner) {
    this.status = head.status;
    this.headers = head.fields;
    this.carriesTrailers = head.framing.kind === "chunked" && owner.request.minorVersion === 1;
    this.head = head;
    this.connection = connection;
    this.#owner = owner;
  }

  relay(headers: HeaderPair[], listener: AttemptListener): void {
    this.#owner.relayAnswer(this, headers, listener);
  }

  discard(): void {
    this.#owner.discardAnswer(this);
  }
}

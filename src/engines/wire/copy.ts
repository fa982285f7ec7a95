/** Sends a copy of a request to a backend, beside the exchange of the request, and drops the answer. */

import type { Buffer } from "node:buffer";
import type { ProxyError } from "../../errors.ts";
import { bodyReader } from "../../http1/body_reader.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import type { Answer, AttemptListener, CopyListener, RequestCopy } from "../../proxy/exchange.ts";
import { unexpected } from "../../failures.ts";
import type { OpenCopy } from "../copies.ts";
import type { WireAnswer } from "./backend/answer.ts";
import { Attempt, type AttemptOwner } from "./backend/attempt.ts";
import type { BackendConnection } from "./backend/backend_connection.ts";
import type { Clocks } from "./clocks.ts";
import type { WireContext } from "./context.ts";
import { explain } from "./failures.ts";
import type { OutgoingBody } from "./outgoing_body.ts";
import type { WireRequest } from "./request.ts";
import { Timed } from "./timeouts.ts";

/** How much of an answer is read, so that its connection can be used again. */
const MOST_DROPPED_BYTES = 1024 * 1024;

/** Its clock runs while the answer's body is dropped. */
export class WireCopy extends Timed implements AttemptOwner, AttemptListener, OpenCopy {
  readonly request: WireRequest;
  readonly clocks: Clocks;
  readonly upload: CopiedBody | undefined;
  isBrokenOff = false;
  readonly #context: WireContext;
  readonly #listener: CopyListener;
  readonly #attempt: Attempt;

  constructor(request: WireRequest, copy: RequestCopy, context: WireContext, listener: CopyListener) {
    super();
    const { body, timeouts } = copy;
    this.request = request;
    this.clocks = context.clockRoom.for(timeouts);
    this.upload = body === undefined ? undefined : new CopiedBody(body, this);
    this.#context = context;
    this.#listener = listener;
    this.#attempt = new Attempt(copy, this, context, this);
  }

  run(): void {
    this.#context.copies.join(this);
    this.#attempt.run();
  }

  cut(): void {
    this.isBrokenOff = true;
    this.#attempt.breakOff();
  }

  answered(answer: Answer): void {
    this.#listener.answered(answer.status);
    answer.discard();
  }

  failed(error: unknown): void {
    this.#end(this.explain(error));
  }

  relayed(): void {
    throw unexpected("a copy's answer was relayed");
  }

  relayAnswer(): void {
    throw unexpected("a copy's answer was relayed");
  }

  discardAnswer({ head, connection }: WireAnswer): void {
    void this.#dropBody(head, connection).then((isWhole) => {
      this.stopClock();
      this.#attempt.release(isWhole && head.keepAlive);
      this.#end(undefined);
    });
  }

  informationalCame(): Promise<void> {
    return Promise.resolve();
  }

  uploadEnded(): void {
    this.#attempt.bodySent();
  }

  uploadStuck(): void {
    this.#attempt.bodyStuck();
  }

  explain(error: unknown): ProxyError {
    return explain(error, this.isBrokenOff ? "client_gone" : undefined, this.#attempt.givenUp, "");
  }

  /** The answer's body did not end in time. */
  timedOut(): void {
    this.#attempt.breakOff();
  }

  /** Reads the body, but not without end. Returns whether it has ended well. */
  async #dropBody({ framing }: WireAnswer["head"], { inlet }: BackendConnection): Promise<boolean> {
    const reader = bodyReader(framing, this.#context.maxHeaderBytes);
    this.clocks.response.start(this);
    for (let dropped = 0; dropped <= MOST_DROPPED_BYTES;) {
      try {
        const { start } = inlet;
        inlet.start = reader.read(inlet.bytes, start, inlet.end);
        dropped += inlet.start - start;
      } catch (error) {
        if (error instanceof MalformedMessage) return false;
        throw error;
      }
      if (reader.done) return true;
      await inlet.more();
      if (inlet.unread === 0) return false;
      await this.#context.pace.pause();
    }
    return false;
  }

  #end(failure: ProxyError | undefined): void {
    this.#context.copies.leave(this);
    this.#listener.ended(failure);
  }
}

/** The body of a copy, which has arrived as a whole. Its clock runs while the backend must take it. */
class CopiedBody extends Timed implements OutgoingBody {
  readonly #owner: WireCopy;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array, owner: WireCopy) {
    super();
    this.#rest = bytes;
    this.#owner = owner;
  }

  get done(): boolean {
    return this.#rest.length === 0;
  }

  takeReady(into: Buffer, at: number): number {
    const part = this.#rest.subarray(0, into.length - at);
    into.set(part, at);
    this.#rest = this.#rest.subarray(part.length);
    return at + part.length;
  }

  async run(connection: BackendConnection): Promise<void> {
    this.#owner.clocks.idle.start(this);
    const sent = await connection.send(this.#rest, this);
    this.stopClock();
    if (sent) this.#owner.uploadEnded();
  }

  timedOut(): void {
    this.#owner.uploadStuck();
  }
}

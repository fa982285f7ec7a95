/** A request of a guarded server, and its body. */

import type { BodyFraming } from "../http1/body.ts";
import { type BodyReader, bodyReader } from "../http1/body_reader.ts";
import type { DataListener } from "../http1/chunked.ts";
import { MalformedMessage } from "../http1/malformed.ts";
import type { Http1Request } from "../http1/request_head.ts";
import { Deadline } from "./deadline.ts";
import type { Intake } from "./intake.ts";

/** A request of a client. */
export interface Incoming {
  readonly head: Http1Request;
  /** The client's address. */
  readonly peer: string;
  /** The address that it connected to, as an authority. */
  readonly local: string;
  /** `undefined`: there is none. */
  readonly body: IncomingBody | undefined;
  /** Fires when the client has left, or its connection is closed. */
  readonly signal: AbortSignal;
}

/** Why a body did not arrive completely. */
export class BrokenBody extends Error {
  override readonly name = "BrokenBody";
  /** Whether its time was over. Otherwise the client left, or the body is malformed. */
  readonly late: boolean;

  constructor(message: string, options: ErrorOptions & { readonly late: boolean }) {
    super(message, options);
    this.late = options.late;
  }
}

/** How a body is received. */
export interface BodySource {
  readonly intake: Intake;
  /** For all of the body. 0: no limit. */
  readonly limitMs: number;
  /** Tells a client that waits for "100 Continue" to send the body; `undefined`: it does not wait. */
  readonly invite: (() => Promise<void>) | undefined;
}

/** Longer trailers are refused. Trailers are not used here. */
const MOST_TRAILER_BYTES = 4096;

/** Keeps nothing of the body. The reader keeps what it needs. */
export class IncomingBody {
  readonly #reader: BodyReader;
  readonly #source: BodySource;
  readonly #deadline = new Deadline();
  #begun = false;
  #late = false;
  /** It is malformed, or its reader stopped early, so that its end can't be found. */
  #failed = false;

  constructor(framing: BodyFraming, source: BodySource) {
    this.#reader = bodyReader(framing, MOST_TRAILER_BYTES);
    this.#source = source;
  }

  /**
   * Waits for more of the body and passes it to `onData`. The bytes are valid during that call only. Returns whether
   * the body continues.
   *
   * @throws {BrokenBody} when the rest will not come, or not in time
   */
  async read(onData: DataListener): Promise<boolean> {
    const { intake, limitMs } = this.#source;
    if (!this.#begun) await this.#begin();
    if (intake.unread === 0 && !this.#reader.done && !this.#late) await intake.more();
    const goesOn = this.#take(onData);
    if (!goesOn) this.#deadline.stop();
    else if (this.#late) throw this.#broken(`did not arrive within ${limitMs / 1000} s`, { late: true });
    else if (intake.ended) throw this.#broken("broke off before its end", { late: false });
    return goesOn;
  }

  /** Skips what has arrived. Returns whether the body is complete, so that another request may follow it. */
  skip(): boolean {
    this.#deadline.stop();
    try {
      return !this.#failed && !this.#take();
    } catch (error) {
      if (!(error instanceof BrokenBody)) throw error;
      return false;
    }
  }

  async #begin(): Promise<void> {
    this.#begun = true;
    const { intake, limitMs, invite } = this.#source;
    this.#deadline.start(limitMs, () => {
      this.#late = true;
      intake.wake();
    });
    if (intake.unread === 0) await invite?.();
  }

  #take(onData?: DataListener): boolean {
    const { intake } = this.#source;
    try {
      intake.start = this.#reader.read(intake.bytes, intake.start, intake.end, onData);
    } catch (error) {
      this.#failed = true;
      if (!(error instanceof MalformedMessage)) throw error;
      throw this.#broken(error.message, { late: false, cause: error });
    }
    return !this.#reader.done;
  }

  #broken(message: string, options: ErrorOptions & { readonly late: boolean }): BrokenBody {
    this.#deadline.stop();
    return new BrokenBody(message, options);
  }
}

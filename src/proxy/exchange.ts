/** The interface between decisions and bytes. An engine implements `Exchange`; the `Forwarder` calls it. */

import type { ProxyError } from "../errors.ts";
import type { Backend } from "../pool/backend.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";

/** One request and its response. */
export interface Exchange {
  readonly request: RequestHead;
  /**
   * Why the request can't be answered by a backend: the client left, a limit was exceeded, or the engine can't forward
   * it. `undefined`: it can.
   */
  readonly brokenOff: ProxyError | undefined;
  /** Bytes of the request's body that have arrived from the client; `null`: the engine can't know. */
  readonly bytesIn: number | null;
  /**
   * Whether the request can be sent again from its beginning: the whole body sent so far is still there, and the client
   * has seen no 1xx.
   */
  readonly replayable: boolean;
  /** `undefined`: the request can't be copied, because it asks for a tunnel. */
  readonly copies: RequestCopies | undefined;
  /** Called once, when it is known what the request goes by, and before the other methods. */
  keepTo(limits: Limits): void;
  /** Calls `listener` once if `brokenOff` changes before `attempt` or `answer` is called. At most one may listen. */
  onBreakOff(listener: () => void): void;
  /** Sends the request to a backend. `listener` is told what comes of it. */
  attempt(sent: SentRequest, listener: AttemptListener): void;
  /** Answers without a backend. Settles when the answer has been sent or the client has left. Never rejects. */
  answer(answer: OwnAnswer): Promise<void>;
}

/** One attempt: the backend, and what it gets beside the method and the body. */
export interface SentRequest {
  readonly backend: Backend;
  readonly target: string;
  readonly headers: readonly HeaderPair[];
}

/** Copies a request for another backend. The exchange goes on as without that. */
export interface RequestCopies {
  /** Shows the body to a watcher while it is moved to a backend. Call it before the first attempt. */
  watchBody(watcher: BodyWatcher): void;
  /** Sends a copy, whose answer is dropped. It may last longer than the exchange. Never throws. */
  sendCopy(copy: RequestCopy, listener: CopyListener): void;
}

/** Shown the body of a request. A body that breaks off has no last part. */
export interface BodyWatcher {
  /**
   * A part was read, for the first and only time.
   *
   * @param part as it goes to the backend, with chunks if the engine keeps them. It is only valid during the call
   * @param last whether nothing follows
   */
  bodyCame(part: Uint8Array, last: boolean): void;
}

/** A request with its whole body. */
export interface RequestCopy extends SentRequest {
  /** All parts that a watcher was shown; `undefined`: the request has no body. */
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  readonly timeouts: RequestTimeouts;
}

/** Told what comes of a copy: `answered` at most once, then `ended` once. */
export interface CopyListener {
  /** The head of the answer has arrived. */
  answered(status: number): void;
  /** @param failure why there was no answer; `undefined`: there was one */
  ended(failure: ProxyError | undefined): void;
}

/**
 * Told what comes of an attempt: `answered` or `failed`; and after `Answer.relay`: `relayed` or `failed`. Each once.
 * These are calls and not promises, because each promise on the way of a request costs more than the pick of a backend.
 */
export interface AttemptListener {
  /** The head of the answer has arrived. */
  answered(answer: Answer): void;
  /** There is no answer, or it could not be begun. Anything but a `ProxyError` is a fault of the engine. */
  failed(error: unknown): void;
  /** The body of the answer has ended, has failed or was abandoned. */
  relayed(relayed: Relayed): void;
}

/** An answer from roundhouse itself. */
export interface OwnAnswer {
  readonly status: number;
  /** The reason phrase. */
  readonly title: string;
  /** Without `Content-Length`. */
  readonly headers: readonly HeaderPair[];
  /** Not sent in answer to HEAD. Empty with a status that has none. */
  readonly body: string | Uint8Array<ArrayBuffer>;
}

/** A backend's answer. Exactly one of its two methods must be called, once. */
export interface Answer extends ResponseHead {
  /** Forwards it to the client. `listener` is told when that has ended. */
  relay(headers: HeaderPair[], listener: AttemptListener): void;
  /** Drops it, because the client gets another answer. */
  discard(): void;
}

/** Limits of time in milliseconds. */
export interface RequestTimeouts {
  readonly connectMs: number;
  readonly responseMs: number;
  /** 0: there is none. */
  readonly requestMs: number;
  readonly idleMs: number;
}

/** What an engine must observe while it moves the bytes of a request. The same for all attempts of a request. */
export interface Limits {
  /** Requests that go by the same ones have the same object. */
  readonly timeouts: RequestTimeouts;
  /** Whether responses are compressed for clients that accept it. */
  readonly compresses: boolean;
  /** The largest request body; `Infinity`: no limit. */
  readonly maxBodyBytes: number;
  /** Whether a trailer of the request with this name is dropped. */
  readonly dropsRequestTrailer: (name: string) => boolean;
  /** Whether a trailer of the response with this name is dropped. */
  readonly dropsResponseTrailer: (name: string) => boolean;
}

/** How the forwarding of an answer ended. */
export interface Relayed {
  /** Bytes of the body that were sent to the client; `null`: the engine can't know. */
  readonly bytesOut: number | null;
  /** What broke the body off; `undefined`: the client got all of it. */
  readonly failure: ProxyError | undefined;
  /** Whether the failure came before anything was sent to the client, so that it can still get another answer. */
  readonly unsaid?: boolean;
}

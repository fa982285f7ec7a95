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
  /** Called once, when it is known what the request goes by, and before the other methods. */
  keepTo(limits: Limits): void;
  /**
   * Sends the request to a backend. Resolves with the head of its answer. Rejects only with a `ProxyError`.
   *
   * @param target the target that the backend gets
   */
  attempt(backend: Backend, target: string, headers: HeaderPair[]): Promise<Answer>;
  /** Answers without a backend. Settles when the answer has been sent or the client has left. Never rejects. */
  answer(answer: OwnAnswer): Promise<void>;
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
  /** Forwards it to the client. Settles when the body has ended, has failed or was abandoned. Never rejects. */
  relay(headers: HeaderPair[]): Promise<Relayed>;
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

/** The seam between decisions and bytes: an engine implements an `Exchange`, the `Forwarder` drives it. */

import type { ProxyError } from "../errors.ts";
import type { Backend } from "../pool/backend.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import type { Problem } from "./problem.ts";

/** One client request being answered. */
export interface Exchange {
  readonly request: RequestHead;
  /** Why nothing more can come of it, if so: the client left, a limit has passed, the engine can't carry it. */
  readonly brokenOff: ProxyError | undefined;
  /** Bytes of the request's body that have come from the client; `null`: the engine can't know. */
  readonly bytesIn: number | null;
  /** Whether it can go out again from its beginning: no part of its body is gone, and the client has seen no 1xx. */
  readonly replayable: boolean;
  /** Sends the request to a backend; resolves with the head of its answer. Rejects with a `ProxyError` only. */
  attempt(backend: Backend, headers: HeaderPair[], limits: Limits): Promise<Answer>;
  /** Answers without a backend. Settles when the answer is out or the client gone; never rejects. */
  answer(problem: Problem): Promise<void>;
}

/** A backend's answer. One of its two methods has to be called, once. */
export interface Answer extends ResponseHead {
  /** Sends it on. Settles when its body has ended, failed or been abandoned; never rejects. */
  relay(headers: HeaderPair[]): Promise<Relayed>;
  /** Drops it: the client gets another. */
  discard(): void;
}

/** What an engine keeps to while it moves the bytes of a request. The same for all attempts of one request. */
export interface Limits {
  /** The longest request body; `Infinity`: no limit. */
  readonly maxBodyBytes: number;
  /** Whether a trailer of the request with this name goes no further. */
  readonly dropsRequestTrailer: (name: string) => boolean;
  /** Whether a trailer of the response with this name goes no further. */
  readonly dropsResponseTrailer: (name: string) => boolean;
}

/** How the sending on of an answer ended. */
export interface Relayed {
  /** Bytes of the body, as they went to the client; `null`: the engine can't know. */
  readonly bytesOut: number | null;
  /** What broke the body off, if the client did not get all of it. */
  readonly failure: ProxyError | undefined;
  /** Whether the failure came before anything went to the client, so that it can still get an answer. */
  readonly unsaid?: boolean;
}

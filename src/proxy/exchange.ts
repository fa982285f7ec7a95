/** The seam between decisions and bytes: an engine implements an `Exchange`, the `Forwarder` drives it. */

import type { ProxyError } from "../errors.ts";
import type { Backend } from "../pool/backend.ts";
import type { HeaderPair, RequestHead, ResponseHead } from "./message.ts";
import type { Problem } from "./problem.ts";

/** One client request being answered. */
export interface Exchange<Response extends ResponseHead> {
  readonly request: RequestHead;
  /** Why this engine can't carry the request at all, if so. */
  readonly refusal: ProxyError | undefined;
  /** Why the exchange was broken off from this side, if it was: the client has left, a limit on the whole has passed. */
  readonly brokenOff: ProxyError | undefined;
  /** Bytes of the request's body that have come from the client; `null`: the engine can't know. */
  readonly bytesIn: number | null;
  /** Whether all of the request body that was handed out can be handed out again. */
  readonly bodyReplayable: boolean;
  /** Whether a 1xx of a backend has gone to the client: when that backend fails, no other may begin again. */
  readonly informed: boolean;
  /** Waits until there is time for the request; `undefined`: there is now. For engines that have to see to it. */
  waitForTurn?(): Promise<void> | undefined;
  /** Sends the request to a backend; resolves with its response's head. Rejects with a `ProxyError` only. */
  attempt(backend: Backend, headers: HeaderPair[], limits: Limits): Promise<Response>;
  /** Sends a backend's response on. Settles when its body has ended, failed or been abandoned; never rejects. */
  relay(response: Response, headers: HeaderPair[]): Promise<Relayed>;
  /** Drops a backend's response that is not passed on. */
  discard(response: Response): void;
  /** Answers without a backend. Settles when the answer is out or the client gone; never rejects. */
  answer(problem: Problem): Promise<void>;
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

/** How the sending on of a response ended. */
export interface Relayed {
  /** Bytes of the body, as they went to the client; `null`: the engine can't know. */
  readonly bytesOut: number | null;
  /** What broke the body off, if the client did not get all of it. */
  readonly failure: ProxyError | undefined;
  /** Whether the failure came before anything went to the client, so that it can still get an answer. */
  readonly unsaid?: boolean;
}

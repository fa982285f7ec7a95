/** What is known about a request when it has ended. */

import type { ProxyError } from "../errors.ts";
import type { PoolCounts } from "../memory/pool_counts.ts";
import type { Backend } from "../pool/backend.ts";
import type { ForwardedRequest } from "./headers.ts";
import type { RouteIdentity } from "../routing/routes.ts";
import type { RequestHead } from "./message.ts";

/** How a request ended. */
export interface Ending {
  /** The status that the client got; 499 if the client left before it got one. */
  readonly status: number;
  /** The backend that answered; `undefined`: roundhouse did. */
  readonly backend: Backend | undefined;
  /** Bytes of the body that were sent to the client; `null`: not known. */
  readonly bytesOut: number | null;
  /** What went wrong, before the answer or in the middle of it; `undefined`: nothing. */
  readonly failure: ProxyError | undefined;
}

/** A request that has ended. */
export interface FinishedRequest {
  readonly request: RequestHead;
  readonly forwarded: ForwardedRequest;
  /** The route that decided about it; `undefined`: none did. */
  readonly route: RouteIdentity | undefined;
  /** The pool that it went to; `undefined`: none. */
  readonly pool: { readonly name: string; readonly counts: PoolCounts } | undefined;
  /** Whether it was over a limit of a guard. */
  readonly isOverLimit: boolean;
  /** The backends that were tried, in order. */
  readonly tried: readonly Backend[];
  /** The backend that the client's session named. */
  readonly session: Backend | undefined;
  /** Bytes of the body that came from the client; `null`: not known. */
  readonly bytesIn: number | null;
  /** By `turnNow()`. */
  readonly startedAt: number;
}

/** A request that was refused before its head could be read. */
export interface RefusedRequest extends Omit<Ending, "backend"> {
  readonly requestId: string;
  /** The address at the other end of the connection. */
  readonly client: string;
  readonly failure: ProxyError;
}

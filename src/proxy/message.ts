/** Requests and responses as plain values: what the engines hand over and the decisions are made on. */

/** One header line. Engines that know the name's case keep it. */
export type HeaderPair = [name: string, value: string];

/** A request without its body. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query as the client sent them; `*` for a server-wide OPTIONS. */
  readonly target: string;
  /** The authority the client asked for: host and, where given, port. `undefined`: none was given. */
  readonly authority: string | undefined;
  readonly headers: readonly HeaderPair[];
  /** The length of the body that follows; `undefined`: it is not known beforehand; 0: there is none. */
  readonly bodyBytes: number | undefined;
  /** The IP address at the other end of the client's connection. */
  readonly peer: string;
  /** Whether the client's connection is encrypted. */
  readonly secure: boolean;
  /** Whether trailers cross with the body; without them no `Trailer` is passed on. */
  readonly carriesTrailers?: boolean;
  /** Whether trailers of the answer can cross; without that no `TE` is passed on. */
  readonly takesTrailers?: boolean;
}

/** A response without its body. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Iterable<HeaderPair>;
  /** As in a request. */
  readonly carriesTrailers?: boolean;
}

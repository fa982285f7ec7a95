/** Requests and responses as plain values. Engines make them, and decisions are based on them. */

/** One header line. Engines that know the case of the name keep it. */
export type HeaderPair = [name: string, value: string];

/** A request without its body. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query, as the client sent them. `*` for OPTIONS of the whole server. */
  readonly target: string;
  /** Whether the engine writes the target for backends as the URL standard does. If not, it goes on as it is. */
  readonly rewritesTarget?: boolean;
  /** The authority that the client asked for: a host and perhaps a port. `undefined`: none was given. */
  readonly authority: string | undefined;
  readonly headers: readonly HeaderPair[];
  /** The length of the body. `undefined`: it is not known in advance. 0: there is no body. */
  readonly bodyBytes: number | undefined;
  /** The IP address at the other end of the client's connection. */
  readonly peer: string;
  /** Whether the client's connection is encrypted. */
  readonly secure: boolean;
  /**
   * The client's verified certificate, as `Client-Cert` has it. `null`: the client has shown no valid one. `undefined`:
   * clients are not asked for certificates.
   */
  readonly clientCert?: string | null | undefined;
  /** The version of HTTP that the client speaks. An engine that can't tell 1.0 from 1.1 says 1.1. */
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2.0";
  /** Whether the engine forwards trailers of the body. If not, `Trailer` is not forwarded. */
  readonly carriesTrailers?: boolean;
  /** Whether the engine forwards trailers of the answer. If not, `TE` is not forwarded. */
  readonly takesTrailers?: boolean;
}

/** A response without its body. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Iterable<HeaderPair>;
  /** Like `carriesTrailers` of a request. */
  readonly carriesTrailers?: boolean;
}

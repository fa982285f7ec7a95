/** Decides how a response's body is sent to the client, and what the head says about its length. */

import { CHUNKED } from "../../http1/body.ts";
import type { Http1Response } from "../../http1/response_head.ts";
import type { ToldLength } from "./heads.ts";

/** Unchanged, put into chunks, or taken out of chunks. */
export type Transfer = "as-is" | "into-chunks" | "out-of-chunks";

/** HTTP/1.0 has no chunks. In HTTP/1.1, a body without a length must be chunked if the connection is to stay open. */
export function transferOf({ framing }: Http1Response, minorVersion: number): Transfer {
  if (framing.kind === "until-close" && minorVersion === 1) return "into-chunks";
  return framing.kind === "chunked" && minorVersion === 0 ? "out-of-chunks" : "as-is";
}

export function toldLength({ status, framing }: Http1Response, method: string, transfer: Transfer): ToldLength {
  if (status === 204) return "nothing"; // RFC 9110 §8.6
  if (method === "HEAD" || status === 304) return "as-given";
  if (transfer === "into-chunks") return CHUNKED;
  return transfer === "out-of-chunks" ? "nothing" : framing;
}

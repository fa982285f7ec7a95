/** How a response's body crosses to a client, and what the client is told of its length. */

import { CHUNKED } from "../../http1/body.ts";
import type { Http1Response } from "../../http1/response_head.ts";
import type { ToldLength } from "./heads.ts";

/** Byte for byte, put into chunks, or taken out of them. */
export type Transfer = "as-is" | "into-chunks" | "out-of-chunks";

/** HTTP/1.0 knows no chunks, and HTTP/1.1 no other body without a length that leaves the connection open. */
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

/** What a server that is asked about a request gets: a GET with the headers of the request that say who sends what. */

import { looseName, LooseNames } from "../http1/loose_name.ts";
import type { ReachedServer } from "../pool/backend_address.ts";
import type { PassingRequest } from "./guard.ts";

/** Headers of the connection and of the body, ranges, and those that are set here. A GET without a body has none. */
const LEFT_OUT = new LooseNames([
  ...["host", "connection", "upgrade", "http2-settings", "te", "trailer", "transfer-encoding", "expect", "range", "if"],
  ...["x-forwarded-method", "x-forwarded-uri", "x-forwarded-prefix", "content-length", "content-type"],
]);
const LEFT_OUT_BEGINNINGS = ["content-", "if-", "sec-websocket-"];

/**
 * The head of a question, without its empty line. `X-Forwarded-For`, `-Proto` and `-Host` are what a backend would get.
 *
 * @param target path and query
 */
export function questionHead({ origin }: ReachedServer, target: string, request: PassingRequest): string {
  const host = origin.slice(origin.indexOf("://") + "://".length);
  let head = `GET ${target} HTTP/1.1\r\nhost: ${host}\r\n`;
  for (const [name, value] of request.arrived) {
    if (!isLeftOut(name)) head += `${name}: ${value}\r\n`;
  }
  return `${head}x-forwarded-method: ${request.method}\r\nx-forwarded-uri: ${latin1(request.target)}\r\n`;
}

function isLeftOut(name: string): boolean {
  if (LEFT_OUT.has(name)) return true;
  const first = name.charCodeAt(0) | 0x20;
  if (first !== 0x63 && first !== 0x69 && first !== 0x73) return false; // "c", "i", "s"
  const loose = looseName(name);
  return LEFT_OUT_BEGINNINGS.some((beginning) => loose.startsWith(beginning));
}

/** A head has no other characters than those of Latin-1. Others would turn into line ends, for one. */
function latin1(target: string): string {
  for (let at = 0; at < target.length; at++) {
    if (target.charCodeAt(at) > 0xff) return encodeURI(target.toWellFormed()).replaceAll("%25", "%");
  }
  return target;
}

/** What a server that is asked about a request gets: a GET with the headers of the request that say who sends what. */

import { looseName, LooseNames } from "../http1/loose_name.ts";
import type { ReachedServer } from "../pool/backend_address.ts";
import type { PassingRequest } from "./guard.ts";

/** Headers of the connection and of the body, ranges, and those that are set here. A GET without a body has none. */
const LEFT_OUT = new LooseNames([
  ...["host", "connection", "upgrade", "http2-settings", "te", "trailer", "transfer-encoding", "expect", "range", "if"],
  ...["x-forwarded-method", "x-forwarded-uri", "x-forwarded-prefix"],
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
  return `${head}x-forwarded-method: ${request.method}\r\nx-forwarded-uri: ${request.uri}\r\n`;
}

function isLeftOut(name: string): boolean {
  if (LEFT_OUT.has(name)) return true;
  const first = name.charCodeAt(0) | 0x20;
  if (first !== 0x63 && first !== 0x69 && first !== 0x73 && first !== 0x78) return false; // "c", "i", "s", "x"
  const loose = looseName(name);
  if (LEFT_OUT_BEGINNINGS.some((beginning) => loose.startsWith(beginning))) return true;
  // Those in the usual spelling are ours. The server may read others as the same.
  return loose.startsWith("x-forwarded-") && loose !== name.toLowerCase();
}

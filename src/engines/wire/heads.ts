/** Heads as they go out: what the policy decided on, and the framing and connection fields, which are the engine's. */

import type { BodyFraming } from "../../http1/body.ts";
import type { HeaderPair } from "../../proxy/message.ts";

export const CLOSE_LINE = "Connection: close\r\n";
export const KEEP_ALIVE_LINE = "Connection: keep-alive\r\n";

const CHUNKED_LINE = "Transfer-Encoding: chunked\r\n";

/** What is said of a body's length: what is true of it, nothing (204), or what the backend said (an answer to HEAD). */
export type ToldLength = BodyFraming | "nothing" | "as-given";

/** @param lines more fields, each with its end */
export function requestHead(
  { method, target }: { readonly method: string; readonly target: string },
  headers: readonly HeaderPair[],
  framing: BodyFraming,
  lines: string,
): string {
  const fields = fieldLines(headers, framing, framing.kind === "length" && framing.bytes > 0);
  return `${method} ${target} HTTP/1.1\r\n${fields}${lines}\r\n`;
}

/** @param lines more fields, each with its end */
export function responseHead(
  { status, reason }: { readonly status: number; readonly reason: string },
  headers: readonly HeaderPair[],
  told: ToldLength,
  lines: string,
): string {
  return `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(headers, told, true)}${lines}\r\n`;
}

/** A length stands where it stood, with the value that is true. */
function fieldLines(headers: readonly HeaderPair[], told: ToldLength, lengthNeeded: boolean): string {
  const bytes = typeof told === "object" && told.kind === "length" ? told.bytes : undefined;
  let length = bytes === undefined ? "" : String(bytes);
  let lines = "";
  for (const pair of headers) {
    const name = pair[0];
    const value = pair[1];
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      if (told === "as-given") lines += `${name}: ${value}\r\n`;
      else if (length !== "") lines += `${name}: ${length}\r\n`;
      length = ""; // told once
      continue;
    }
    lines += name + ": " + value + "\r\n";
  }
  if (length !== "" && lengthNeeded) return `${lines}Content-Length: ${length}\r\n`;
  return typeof told === "object" && told.kind === "chunked" ? lines + CHUNKED_LINE : lines;
}

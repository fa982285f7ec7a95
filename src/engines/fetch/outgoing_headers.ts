/** The headers for `fetch`. */

import type { HeaderPair } from "../../proxy/message.ts";

/**
 * Returns the headers for `fetch`. `Content-Length` is left out, because `fetch` frames bodies itself, and `Expect`,
 * because `Deno.serve` has answered it. `fetch` leaves bodies compressed only if the first `Accept-Encoding` is exactly
 * this one (denoland/deno#12291). The client's own line follows, for backends that join both.
 */
export function outgoingHeaders(headers: readonly HeaderPair[], tracedByRuntime: boolean): HeaderPair[] {
  const list: HeaderPair[] = [["accept-encoding", "identity"]];
  for (const pair of headers) {
    switch (pair[0]) {
      case "content-length":
      case "expect":
        continue;
      case "traceparent":
        if (tracedByRuntime) continue;
        break;
    }
    list.push(pair);
  }
  return list;
}

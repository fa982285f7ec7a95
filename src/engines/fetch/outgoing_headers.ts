/** The headers that `fetch` is given for a backend. */

import type { HeaderPair } from "../../proxy/message.ts";

/**
 * What `fetch` is given: it frames bodies itself, `Deno.serve` has answered `Expect` already, and only where the first
 * `Accept-Encoding` is exactly this does `fetch` leave bodies compressed (denoland/deno#12291). The client's own is in a
 * line behind it, for backends that join them.
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

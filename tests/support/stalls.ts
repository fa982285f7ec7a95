/** A proxy whose event loop is busy: requests for `/stall` hold it, again and again, from shortly after their attempt. */

import { Forwarder } from "../../src/proxy/forwarder.ts";

/** How long it is held in all, and at a time. */
export const STALLED_MS = 700;
const AT_A_TIME_MS = 350;

/** Holds the isolate for that long. */
export function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Makes requests for `/stall` hold this isolate; ends with the returned function. */
export function stallOnRequest(): () => void {
  const { handle } = Forwarder.prototype;
  Forwarder.prototype.handle = function (exchange) {
    if (exchange.request.target.startsWith("/stall")) {
      let leftMs = STALLED_MS;
      const hold = () => {
        stall(AT_A_TIME_MS);
        leftMs -= AT_A_TIME_MS;
        if (leftMs > 0) setTimeout(hold, 0);
      };
      setTimeout(hold, 40);
    }
    return handle.call(this, exchange);
  };
  return () => {
    Forwarder.prototype.handle = handle;
  };
}

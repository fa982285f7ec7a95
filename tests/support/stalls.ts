/** A proxy with a busy event loop: requests for `/stall` block it again and again, from shortly after their attempt. */

import { Forwarder } from "../../src/proxy/forwarder.ts";

/** How long it is blocked in total, and at a time. */
export const STALLED_MS = 2100;
const AT_A_TIME_MS = 1050;

/** On a busy machine, it takes a while until an attempt is on its way. */
const ATTEMPTED_MS = 200;

const NOBODY_WAKES = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the isolate for that long. It takes no CPU, which others may need to be on time. */
export function stall(ms: number): void {
  Atomics.wait(NOBODY_WAKES, 0, 0, ms);
}

/** Makes requests for `/stall` block this isolate, until the returned function is called. */
export function stallOnRequest(): () => void {
  const { begin } = Forwarder.prototype;
  Forwarder.prototype.begin = function (exchange) {
    if (exchange.request.target.startsWith("/stall")) {
      let leftMs = STALLED_MS;
      const hold = () => {
        stall(AT_A_TIME_MS);
        leftMs -= AT_A_TIME_MS;
        if (leftMs > 0) setTimeout(hold, 0);
      };
      setTimeout(hold, ATTEMPTED_MS);
    }
    return begin.call(this, exchange);
  };
  return () => {
    Forwarder.prototype.begin = begin;
  };
}

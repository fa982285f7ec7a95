/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that hangs for a while after a request for `/hang`. */

import { Forwarder } from "../../src/proxy/forwarder.ts";
import "../../src/workers/worker.ts";
import { stall } from "./stalls.ts";

/** Longer than an upgrade waits for workers. */
const HUNG_MS = 9000;

const { begin } = Forwarder.prototype;

Forwarder.prototype.begin = function (exchange) {
  if (exchange.request.target === "/hang") setTimeout(() => stall(HUNG_MS), 0);
  return begin.call(this, exchange);
};

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker with a bug: a request for `/throw`, or for `/reject`, meets an error that nobody catches. */

import { Forwarder } from "../../src/proxy/forwarder.ts";
import "../../src/workers/worker.ts";

const { begin } = Forwarder.prototype;

Forwarder.prototype.begin = function (exchange) {
  const { target } = exchange.request;
  if (target === "/throw") setTimeout(() => brokenOnPurpose("thrown\nin two lines"));
  if (target === "/reject") Promise.resolve().then(() => brokenOnPurpose("rejected"));
  return begin.call(this, exchange);
};

function brokenOnPurpose(message: string): never {
  throw new Error(message);
}

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The main module of a worker: a data plane in its own isolate, which carries out the control plane's orders. */

import { type DataPlane, startDataPlane } from "./data_plane.ts";
import { Memory } from "../memory/memory.ts";
import { settlesWithin } from "../settles_within.ts";
import { FollowingPools } from "./following_pools.ts";
import type { Done, Numbered, Order, Report, Started, StartOrder } from "./messages.ts";
import { RemoteLog } from "./remote_log.ts";

/** How long clients may take to answer the goodbye. */
const GOODBYE_MS = 250;

/** What runs after `start` was carried out. */
class Forwarding {
  readonly #memory: Memory;
  readonly #pools: FollowingPools;
  readonly #dataPlane: DataPlane;

  static async start(order: StartOrder): Promise<Forwarding> {
    const { config, tls, memory: shared, pools: begun, sessions, limits, socket } = order;
    const memory = Memory.attach(shared);
    memory.limits.adopt(limits);
    log.level = config.log.level;
    const pools = new FollowingPools({ memory, send });
    pools.configure({ config, begun, sessions });
    const dataPlane = await startDataPlane({
      config,
      tls,
      memory,
      pools,
      log,
      reusePort: true,
      socket,
      acceptingChanged: (accepting) => send({ type: "accepting", accepting }),
    });
    return new Forwarding(memory, pools, dataPlane);
  }

  private constructor(memory: Memory, pools: FollowingPools, dataPlane: DataPlane) {
    this.#memory = memory;
    this.#pools = pools;
    this.#dataPlane = dataPlane;
  }

  get started(): Started {
    const { address, setTls, sharing } = this.#dataPlane;
    return { address, takesCertificates: setTls !== undefined, sharesSocket: sharing !== undefined };
  }

  /** Carries out an order. Settles when that is done, with what was asked for. */
  async carryOut(order: Exclude<Order, StartOrder>): Promise<Pick<Done, "descriptor"> | void> {
    switch (order.type) {
      case "swap":
        return this.#pools.swap(order);
      case "configure":
        log.level = order.config.log.level;
        this.#pools.configure(order);
        this.#memory.limits.adopt(order.limits);
        return this.#dataPlane.configure(order.config);
      case "tls":
        return this.#dataPlane.setTls?.(order.tls);
      case "sync":
        return;
      case "offer": {
        const [descriptor] = await this.#dataPlane.sharing?.offer() ?? [];
        return descriptor === undefined ? undefined : { descriptor };
      }
      case "resume":
        return void await this.#dataPlane.sharing?.resume();
      case "release":
        return await this.#dataPlane.sharing?.release();
      case "refuse":
        return await this.#dataPlane.refuseRequests();
      case "stop":
        return await this.#dataPlane.stop();
      case "goodbye":
        return void await settlesWithin(this.#dataPlane.sayGoodbye(), GOODBYE_MS);
    }
  }
}

const log = new RemoteLog("info", (lines) => self.postMessage({ type: "log", lines } satisfies Report));

/** Set when the start begins. Orders that arrive during the start wait for it. */
let starting: Promise<Forwarding> | undefined;

function send(report: Report): void {
  log.flush();
  self.postMessage(report);
}

async function start(number: number, order: StartOrder): Promise<void> {
  starting = Forwarding.start(order);
  try {
    send({ type: "done", number, started: (await starting).started });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    send({ type: "refused", number, name: error.name, message: error.message });
  }
}

/**
 * Ends the isolate at once, because of an uncaught error. The control plane then gives back all that it holds, so
 * nothing may continue to run.
 */
function fail(event: ErrorEvent | PromiseRejectionEvent): void {
  event.preventDefault(); // otherwise the runtime would write the error to standard error, in its own format
  send({ type: "failed", reason: describe(event instanceof ErrorEvent ? event.error : event.reason) });
  self.close();
}

/** The error, and where it was thrown, in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  return `${error.name}: ${error.message}${place === undefined ? "" : ` ${place.trim()}`}`;
}

self.addEventListener("error", fail);
self.addEventListener("unhandledrejection", fail);
self.addEventListener("message", async ({ data: { number, order } }: MessageEvent<Numbered>) => {
  if (order.type === "start") return await start(number, order);
  const result = await (await starting)?.carryOut(order);
  send({ type: "done", number, ...result });
});

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker's main module: the data plane in an isolate of its own, at the control plane's orders. */

import { type DataPlane, startDataPlane } from "../data_plane.ts";
import { RequestMetrics } from "../pool/request_metrics.ts";
import { ServerPool } from "../pool/server_pool.ts";
import { SessionTable } from "../pool/session_table.ts";
import { SharedState } from "../pool/shared_state.ts";
import type { Numbered, Order, PlacedBackend, Report, SharedSessions, Started, StartOrder } from "./messages.ts";
import { RemoteLog } from "./remote_log.ts";
import { RemotePassiveHealth } from "./remote_passive.ts";

/** How long clients that were told goodbye have to answer. */
const GOODBYE_MS = 250;

const REASON = "control plane";

/** What runs once `start` has been carried out. */
class Forwarding {
  readonly #isolate: number;
  readonly #pool: ServerPool;
  readonly #log: RemoteLog;
  readonly #passive: RemotePassiveHealth;
  readonly #dataPlane: DataPlane;
  #stopped: Promise<void> | undefined;

  constructor({ config, certificate, memory, sessions, backends }: StartOrder) {
    const { state, metrics, isolates, isolate } = memory;
    this.#isolate = isolate;
    this.#pool = new ServerPool(SharedState.attach(state, isolates, isolate));
    for (const backend of backends) this.#add(backend);
    this.#log = new RemoteLog(config.log.level, send);
    this.#passive = new RemotePassiveHealth(config, this.#pool.shared, send);
    this.#dataPlane = startDataPlane({
      config,
      certificate,
      pool: this.#pool,
      metrics: RequestMetrics.attach(metrics, isolates, isolate),
      sessions: this.#attach(sessions),
      passive: this.#passive,
      log: this.#log,
      reusePort: true,
    });
  }

  get started(): Started {
    const { address, setCertificate } = this.#dataPlane;
    return { address, takesCertificates: setCertificate !== undefined };
  }

  /** Settles when it has been carried out. */
  async carryOut(order: Exclude<Order, StartOrder>): Promise<void> {
    switch (order.type) {
      case "add":
        return this.#add(order.backend);
      case "remove":
        return this.#remove(order.slot);
      case "configure":
        this.#log.level = order.config.log.level;
        this.#passive.configure(order.config);
        return this.#dataPlane.configure(order.config, this.#attach(order.sessions));
      case "certificate":
        return this.#dataPlane.setCertificate?.(order.certificate);
      case "stop":
        return await (this.#stopped ??= this.#dataPlane.stop());
      case "goodbye":
        await this.#dataPlane.sayGoodbye();
        return await Promise.race([this.#stopped, new Promise<void>((resolve) => setTimeout(resolve, GOODBYE_MS))]);
    }
  }

  #add({ spec, slot }: PlacedBackend): void {
    this.#pool.adopt(spec, slot, REASON);
  }

  #remove(slot: number): void {
    const backend = this.#pool.backends.find((backend) => backend.slot === slot);
    if (backend !== undefined) this.#pool.remove(backend, REASON);
  }

  #attach(sessions: SharedSessions | undefined): SessionTable | undefined {
    return sessions && SessionTable.attach(sessions.buffer, sessions.timeoutMs, this.#isolate);
  }
}

let forwarding: Forwarding | undefined;

function send(report: Report): void {
  self.postMessage(report);
}

function start(number: number, order: StartOrder): void {
  try {
    forwarding = new Forwarding(order);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return send({ type: "refused", number, name: error.name, message: error.message });
  }
  send({ type: "done", number, started: forwarding.started });
}

/** Whatever this isolate holds is given back by the control plane, so nothing of it may run on: it ends at once. */
function fail(event: ErrorEvent | PromiseRejectionEvent): void {
  event.preventDefault(); // the runtime would write it to standard error, in lines of its own
  send({ type: "failed", reason: describe(event instanceof ErrorEvent ? event.error : event.reason) });
  self.close();
}

/** The error and where it was thrown, in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  return `${error.name}: ${error.message}${place === undefined ? "" : ` ${place.trim()}`}`;
}

self.addEventListener("error", fail);
self.addEventListener("unhandledrejection", fail);
self.addEventListener("message", async ({ data: { number, order } }: MessageEvent<Numbered>) => {
  if (order.type === "start") return start(number, order);
  await forwarding?.carryOut(order);
  send({ type: "done", number });
});

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker's main module: the data plane in an isolate of its own, at the control plane's orders. */

import { type DataPlane, startDataPlane } from "./data_plane.ts";
import { ServerPool } from "../pool/server_pool.ts";
import { SessionTable, type SharedSessions } from "../memory/session_table.ts";
import { Memory } from "../memory/memory.ts";
import { DEFAULT_POOL } from "../memory/slots.ts";
import { settlesWithin } from "../settles_within.ts";
import type { Numbered, Order, Report, Started, StartOrder } from "./messages.ts";
import { RemoteLog } from "./remote_log.ts";
import { RemotePassiveHealth } from "./remote_passive.ts";

/** How long clients that were told goodbye have to answer. */
const GOODBYE_MS = 250;

const REASON = "control plane";

/** What the data plane of this isolate works with. */
interface Parts {
  readonly isolate: number;
  readonly pool: ServerPool;
  readonly passive: RemotePassiveHealth;
  readonly dataPlane: DataPlane;
}

/** What runs once `start` has been carried out. */
class Forwarding {
  readonly #isolate: number;
  readonly #pool: ServerPool;
  readonly #passive: RemotePassiveHealth;
  readonly #dataPlane: DataPlane;

  static async start({ config, certificate, memory, sessions, backends }: StartOrder): Promise<Forwarding> {
    const { isolate } = memory;
    const shared = Memory.attach(memory);
    const pool = new ServerPool(shared.pool(DEFAULT_POOL));
    for (const { spec, slot } of backends) pool.adopt(spec, slot, REASON);
    log.level = config.log.level;
    const passive = new RemotePassiveHealth(config, pool, send);
    const dataPlane = await startDataPlane({
      config,
      certificate,
      pool,
      metrics: shared.metrics,
      sessions: attach(sessions, isolate),
      passive,
      log,
      reusePort: true,
      acceptingChanged: (accepting) => send({ type: "accepting", accepting }),
    });
    return new Forwarding({ isolate, pool, passive, dataPlane });
  }

  private constructor({ isolate, pool, passive, dataPlane }: Parts) {
    this.#isolate = isolate;
    this.#pool = pool;
    this.#passive = passive;
    this.#dataPlane = dataPlane;
  }

  get started(): Started {
    const { address, setCertificate } = this.#dataPlane;
    return { address, takesCertificates: setCertificate !== undefined };
  }

  /** Settles when it has been carried out. */
  async carryOut(order: Exclude<Order, StartOrder>): Promise<void> {
    switch (order.type) {
      case "exchange":
        return this.#exchange(order);
      case "configure":
        log.level = order.config.log.level;
        this.#passive.configure(order.config);
        return this.#dataPlane.configure(order.config, attach(order.sessions, this.#isolate));
      case "certificate":
        return this.#dataPlane.setCertificate?.(order.certificate);
      case "sync":
        return;
      case "refuse":
        return await this.#dataPlane.refuseRequests();
      case "stop":
        return await this.#dataPlane.stop();
      case "goodbye":
        return void await settlesWithin(this.#dataPlane.sayGoodbye(), GOODBYE_MS);
    }
  }

  #exchange({ removed, added }: Extract<Order, { type: "exchange" }>): void {
    const leaving = new Map(removed.map(({ slot, drained }) => [slot, drained]));
    const backends = this.#pool.backends.filter(({ slot }) => leaving.has(slot));
    for (const backend of backends) {
      if (leaving.get(backend.slot) === true) backend.endLasting();
    }
    this.#pool.follow({ removed: backends, added }, REASON);
  }
}

function attach(sessions: SharedSessions | undefined, isolate: number): SessionTable | undefined {
  return sessions && SessionTable.attach(sessions, isolate);
}

const log = new RemoteLog("info", (lines) => self.postMessage({ type: "log", lines } satisfies Report));

/** Orders that come while it starts wait for it. */
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
  if (order.type === "start") return await start(number, order);
  await (await starting)?.carryOut(order);
  send({ type: "done", number });
});

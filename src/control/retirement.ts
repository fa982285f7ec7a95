/**
 * The end of a pool that the configuration no longer names. No new request is sent to it. Requests that began before may
 * still wait for one of its backends, or try another one after a failure. So its backends stay, and are checked, until
 * no request needs them any more.
 */

import { Nap } from "../health/nap.ts";
import { systemClock } from "../net/clock.ts";
import type { ChangeQueue } from "../pool/change_queue.ts";
import type { PoolControl } from "./pool_control.ts";

/** How often to look whether requests still need the pool. */
const LOOK_MS = 20;

/** A request may have begun without having asked for a backend yet. It does so within this time. */
const GRACE_MS = 100;

/**
 * A request that is in flight at a backend for longer than this will hardly need another backend. It may be a WebSocket
 * or a download, which can last for ever.
 */
const LONGEST_MS = 5000;

/** What a `Retirement` needs. */
export interface RetirementOptions {
  readonly pool: PoolControl;
  readonly changes: ChangeQueue;
  /** Called when the pool is empty. All isolates can forget it. */
  readonly leave: () => void;
}

/** Ends one pool. */
export class Retirement {
  /** Settles when the pool has ended in all isolates. Requests may still be in flight at its last backends. */
  readonly done: Promise<void>;
  readonly #options: RetirementOptions;
  readonly #nap = new Nap(systemClock);
  #cut = false;

  constructor(options: RetirementOptions) {
    this.#options = options;
    options.pool.membership.end();
    options.pool.endDiscovery();
    this.done = this.#run();
  }

  /** Ends the pool now, because the process stops. */
  cut(): Promise<void> {
    this.#cut = true;
    this.#nap.end();
    return this.done;
  }

  async #run(): Promise<void> {
    const { pool, changes, leave } = this.#options;
    await changes.settled(); // no isolate sends new requests to it
    const since = performance.now();
    while (!this.#cut && this.#isNeeded(performance.now() - since)) await this.#nap.sleep(LOOK_MS);
    await changes.run((lists) => pool.empty(lists, "reload"));
    leave();
    await pool.stop();
    await changes.settled();
  }

  #isNeeded(waitedMs: number): boolean {
    const { pool } = this.#options.pool;
    if (waitedMs < GRACE_MS || pool.shared.line.queued() > 0) return true;
    return waitedMs < LONGEST_MS && !pool.idle;
  }
}

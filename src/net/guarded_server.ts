/** A small HTTP/1.1 server for a port beside the proxy's own: whatever its clients do, it costs the process little. */

import { type AcceptedConnection, Acceptor, type Listening } from "./acceptor.ts";
import { Deadline } from "./deadline.ts";
import { GuardedConnection, type GuardedShare, type GuardLimits, type Refuse } from "./guarded_connection.ts";
import type { Incoming } from "./incoming.ts";

export interface GuardedServerOptions extends Listening {
  readonly limits: GuardLimits;
  /** Answers a request. One that rejects costs its client the connection. */
  readonly handle: (incoming: Incoming) => Promise<Response>;
  /** Answers what is no request. */
  readonly refuse: Refuse;
  /** Whether HTTP/1.1 without `Host` is refused here; else `handle` does that. */
  readonly needsHost: boolean;
}

/**
 * Nobody is cut before, whatever the need. A request comes right behind its connection; where this were longer, clients
 * that connect and say nothing would keep others waiting at the door.
 */
const SPARED_MS = 250;

/**
 * Clients get `headerMs` for a head and as long again for its body, idle ones leave after `keepAliveMs`, and those that
 * take nothing of an answer after `idleMs`. At `maxConnections` the one that has waited for longest without sending a
 * whole head makes room, but none that came or was answered less than `SPARED_MS` ago. More wait in the kernel's queue.
 */
export class GuardedServer {
  readonly address: Deno.NetAddr;
  readonly #acceptor: Acceptor;
  readonly #share: GuardedShare & { limits: GuardLimits };
  readonly #open = new Set<GuardedConnection>();
  #stopping = false;
  /** Whether the system has no more to give. */
  #isShut = false;
  #relief = Promise.resolve();
  /** Who has waited since then or longer was spared, and all that it had sent by then has been read. */
  #sparedUntil = 0;
  /** Settles when a connection ends, is answered or begins to wait, and when the door opens or closes. */
  #change = Promise.withResolvers<void>();

  /** @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound */
  constructor({ hostname, port, ...options }: GuardedServerOptions) {
    const { log, doorChanged } = options;
    this.#share = { ...options, waiting: new Set(), answering: new Set(), changed: () => this.#changed() };
    this.#acceptor = new Acceptor({
      hostname,
      port,
      log,
      onAccept: (accepted) => this.#serve(accepted),
      doorChanged: (open) => {
        this.#isShut = !open;
        this.#changed();
        if (!open) this.#relief = this.#relieve();
        doorChanged(open);
      },
    });
    this.address = this.#acceptor.address;
  }

  /** Other limits, for whatever begins from now on. */
  configure(limits: GuardLimits): void {
    this.#share.limits = limits;
  }

  /**
   * Goes on until every request has been answered, but no longer than `graceMs`; then closes the port and all
   * connections. Streams without a length are not waited for.
   */
  async stop(graceMs: number): Promise<void> {
    await this.#until(() => this.#share.answering.size === 0, graceMs);
    this.#stopping = true;
    this.#changed(); // one may wait for room
    const closed = this.#acceptor.close();
    for (const connection of this.#open) connection.close();
    await closed;
    await this.#relief;
    await this.#until(() => this.#open.size === 0, graceMs);
  }

  async #serve(accepted: AcceptedConnection): Promise<void> {
    await this.#untilRoom();
    if (this.#stopping) return accepted.link.close();
    const connection = new GuardedConnection(accepted, this.#share);
    this.#open.add(connection);
    void connection.serve().then(() => {
      this.#open.delete(connection);
      this.#changed();
    });
  }

  async #untilRoom(): Promise<void> {
    const { waiting } = this.#share;
    const isRoom = () => this.#open.size < this.#share.limits.maxConnections || this.#stopping;
    while (!isRoom()) {
      const [first] = waiting;
      if (first === undefined) {
        await this.#change.promise;
      } else if (first.waitsSince <= this.#sparedUntil) {
        this.#close(first);
      } else {
        await this.#until(isRoom, Math.max(1, first.waitsSince + SPARED_MS - performance.now()));
        await this.#hear();
      }
    }
  }

  /** While the system has no more to give, everybody who may be cut is: they hold what it lacks. */
  async #relieve(): Promise<void> {
    const isOver = () => !this.#isShut || this.#stopping;
    while (!isOver()) {
      await this.#hear();
      for (const connection of this.#share.waiting) {
        if (connection.waitsSince > this.#sparedUntil) break;
        this.#close(connection);
      }
      await this.#until(isOver, SPARED_MS);
    }
  }

  /** Reads what clients have sent until now: after a stall their requests may have come long ago. */
  async #hear(): Promise<void> {
    const now = performance.now();
    for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setTimeout(resolve, 0));
    this.#sparedUntil = now - SPARED_MS;
  }

  #close(connection: GuardedConnection): void {
    connection.close();
    this.#open.delete(connection);
  }

  async #until(holds: () => boolean, limitMs: number): Promise<void> {
    let over = false;
    const deadline = new Deadline();
    deadline.start(limitMs, () => {
      over = true;
      this.#changed();
    });
    while (!holds() && !over) await this.#change.promise;
    deadline.stop();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

/** A small HTTP/1.1 server for a port beside the proxy's own: whatever its clients do, it costs the process little. */

import { Acceptor, type Arrival } from "./acceptor.ts";
import { Deadline } from "./deadline.ts";
import { GuardedConnection, type GuardedShare, type GuardLimits, type Refuse } from "./guarded_connection.ts";
import type { Incoming } from "./incoming.ts";
import type { Log } from "../log.ts";

export interface GuardedServerOptions {
  readonly hostname: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly limits: GuardLimits;
  readonly log: Log;
  /** Told when no client can be accepted, and when clients can be again. */
  readonly doorChanged: (open: boolean) => void;
  /** Answers a request. One that rejects costs its client the connection. */
  readonly handle: (incoming: Incoming) => Promise<Response>;
  /** Answers what is no request. */
  readonly refuse: Refuse;
  /** Whether HTTP/1.1 without `Host` is refused here; else `handle` does that. */
  readonly needsHost: boolean;
}

/**
 * Clients get `headerMs` for a head and as long again for its body, idle ones leave after `keepAliveMs`, and those that
 * take nothing of an answer after `idleMs`. At `maxConnections` the one that has been idle for longest makes room; while
 * nobody is idle, more wait in the kernel's queue.
 */
export class GuardedServer {
  readonly address: Deno.NetAddr;
  readonly #acceptor: Acceptor;
  readonly #share: GuardedShare & { limits: GuardLimits };
  readonly #open = new Set<GuardedConnection>();
  #stopping = false;
  /** Settles when a connection ends, is answered or becomes idle. */
  #change = Promise.withResolvers<void>();

  /** @throws {Deno.errors.AddrInUse} and its kin when the address can't be bound */
  constructor({ hostname, port, ...options }: GuardedServerOptions) {
    const { log, doorChanged } = options;
    this.#share = { ...options, idle: new Set(), answering: new Set(), changed: () => this.#changed() };
    this.#acceptor = new Acceptor({
      hostname,
      port,
      log,
      welcome: (arrival) => this.#welcome(arrival),
      doorChanged: (open) => {
        if (!open) this.#closeIdle(); // they hold what the system has no more of
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
    await this.#until(() => this.#open.size === 0, graceMs);
  }

  async #welcome(arrival: Arrival): Promise<void> {
    const { idle } = this.#share;
    while (this.#open.size >= this.#share.limits.maxConnections && !this.#stopping) {
      const [oldest] = idle;
      if (oldest === undefined) await this.#change.promise;
      else this.#close(oldest);
    }
    if (this.#stopping) return arrival.link.close();
    const connection = new GuardedConnection(arrival, this.#share);
    this.#open.add(connection);
    void connection.serve().then(() => {
      this.#open.delete(connection);
      this.#changed();
    });
  }

  #closeIdle(): void {
    for (const connection of this.#share.idle) this.#close(connection);
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

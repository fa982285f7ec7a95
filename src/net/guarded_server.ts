/** A small HTTP/1.1 server for the ports beside the proxy's own. It limits what clients can cost the process. */

import { type AcceptedConnection, Acceptor, type Listening } from "./acceptor.ts";
import { Deadline } from "./deadline.ts";
import { Doorbell } from "./doorbell.ts";
import { GuardedConnection, type GuardedShare, type GuardLimits, type Refuse } from "./guarded_connection.ts";
import type { Incoming } from "./incoming.ts";
import { portAddress } from "./listen_address.ts";
import type { SharedPort } from "./shared_port.ts";
import { nextTurn } from "./next_turn.ts";

export interface GuardedServerOptions extends Omit<Listening, "at"> {
  readonly hostname: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Accepts clients there instead. */
  readonly shared?: SharedPort | undefined;
  readonly limits: GuardLimits;
  /** Answers a request. If it rejects, the connection is closed. */
  readonly handle: (incoming: Incoming) => Promise<Response>;
  /** Answers something that is not a request. */
  readonly refuse: Refuse;
  /** Whether HTTP/1.1 without `Host` is refused here; otherwise `handle` must check it. */
  readonly needsHost: boolean;
}

/**
 * No client is cut before this time, even when descriptors run out. A request usually follows its connection at once.
 * If this time were longer, clients that connect and send nothing would keep others waiting.
 */
const SPARED_MS = 100;

/**
 * However many sockets are ready, the runtime reads 128 in one turn of the event loop (Deno 2.9.6), in no certain order.
 * The doorbell is one of them.
 */
const READS_A_TURN = 127;

/** Turns before a client is cut. There are more while each brings requests: a turn may take 30 ms. */
const LEAST_TURNS = 3;

/**
 * Clients have `headerMs` for a head, and the same time again for its body. Idle clients are cut after `keepAliveMs`,
 * and clients that read nothing of a response after `idleMs`. At `maxConnections` the client that has waited longest
 * without a whole head is cut, but not within `SPARED_MS` of its connection or last response. More wait in the accept
 * queue.
 */
export class GuardedServer {
  readonly address: Deno.NetAddr;
  readonly #acceptor: Acceptor;
  readonly #share: GuardedShare & { limits: GuardLimits };
  readonly #open = new Set<GuardedConnection>();
  readonly #doorbell: Promise<Doorbell | undefined>;
  #stopping = false;
  /** Whether another process accepts clients now. */
  #released = false;
  /** Whether file descriptors or memory have run out. */
  #isShut = false;
  #relief = Promise.resolve();
  #hearing = Promise.resolve();
  /** How long the last reading of all clients took, in milliseconds. */
  #heardIn = 0;
  /** How often something has changed. */
  #changes = 0;
  /** Connections that have waited since before this time have had their chance: all they had sent by then was read. */
  #sparedUntil = 0;
  /** Settles when a connection ends, is answered or begins to wait, and when accepting fails or works again. */
  #change = Promise.withResolvers<void>();

  /** @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound */
  constructor({ hostname, port, shared, ...options }: GuardedServerOptions) {
    const { log, acceptingChanged } = options;
    this.#share = { ...options, waiting: new Set(), answering: new Set(), changed: () => this.#changed() };
    this.#acceptor = new Acceptor({
      at: shared ?? { hostname, port },
      log,
      onAccept: (accepted) => this.#serve(accepted),
      acceptingChanged: (accepting) => {
        this.#isShut = !accepting;
        this.#changed();
        if (!accepting) this.#relief = this.#relieve();
        acceptingChanged(accepting);
      },
    });
    this.address = portAddress(this.#acceptor.address);
    this.#doorbell = Doorbell.install(); // now: it takes descriptors, and is needed when they have run out
  }

  /** Sets other limits, for everything that begins from now on. */
  configure(limits: GuardLimits): void {
    this.#share.limits = limits;
  }

  /**
   * Accepts no more clients, because another process does. Those that were accepted and wait for room are served at once.
   * Call `stop` later, for the connections.
   */
  async release(): Promise<void> {
    this.#released = true;
    this.#changed();
    await this.#acceptor.release();
  }

  /**
   * Waits until every request has been answered, for at most `graceMs`. Then closes the port and all connections. Does
   * not wait for streams without a length.
   */
  async stop(graceMs: number): Promise<void> {
    await this.#until(() => this.#share.answering.size === 0, graceMs);
    this.#stopping = true;
    this.#changed(); // a client may wait for room
    const closed = this.#acceptor.close();
    for (const connection of this.#open) connection.close();
    await closed;
    await this.#relief;
    await this.#until(() => this.#open.size === 0, graceMs);
    (await this.#doorbell)?.[Symbol.dispose]();
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
    const isRoom = () => this.#open.size < this.#share.limits.maxConnections || this.#stopping || this.#released;
    while (!isRoom()) {
      const [first] = waiting;
      if (first === undefined) {
        await this.#change.promise;
      } else if (first.waitsSince <= this.#sparedUntil) {
        this.#close(first);
      } else {
        await this.#until(isRoom, Math.max(1, first.waitsSince + this.#unheardMs - performance.now()));
        await this.#hear();
      }
    }
  }

  /** While descriptors or memory have run out, every connection that may be cut is cut, to free them. */
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

  /**
   * After which time without a request the reading of all clients begins. On a busy loop it takes a while. It begins early
   * then, so that those who wait in the accept queue do not wait for it as well.
   */
  get #unheardMs(): number {
    return SPARED_MS - Math.min(this.#heardIn, SPARED_MS / 2);
  }

  /** Reads what clients have sent until now. After a stall, their requests may have arrived long ago. */
  #hear(): Promise<void> {
    return this.#hearing = this.#hearing.then(() => this.#readAll());
  }

  async #readAll(): Promise<void> {
    const begun = performance.now();
    const unheardSince = begun - this.#unheardMs;
    const doorbell = await this.#doorbell;
    const most = LEAST_TURNS + this.#open.size / READS_A_TURN;
    for (let turn = 0, changes = -1; turn < LEAST_TURNS || (turn < most && this.#changes !== changes); turn++) {
      changes = this.#changes;
      await (doorbell?.ring().catch(nextTurn) ?? nextTurn());
    }
    const ended = performance.now();
    this.#heardIn = ended - begun;
    this.#sparedUntil = Math.min(unheardSince, ended - SPARED_MS);
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
    this.#changes++;
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

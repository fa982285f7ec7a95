/** A listener that stays open: no failing client and no lack of file descriptors ends it. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { closeQuietly } from "./close_quietly.ts";
import { isSystemExhausted } from "./exhaustion.ts";
import {
  type AcceptAddress,
  type BoundAddress,
  boundAt,
  type ClientListener,
  listenAt,
  sameAddress,
} from "./listen_address.ts";
import { localAuthority, peerAddress, UNIX_PEER } from "./peer.ts";
import { RareLine } from "./rare_line.ts";
import { SharedPort } from "./shared_port.ts";
import { SocketFile } from "./socket_file.ts";
import { watchSocket } from "./socket_loss.ts";
import { nextTurn } from "./next_turn.ts";

/** An accepted connection of a client. */
export interface AcceptedConnection {
  readonly link: Deno.TcpConn | Deno.UnixConn;
  /** The client's address, or `UNIX_PEER`. */
  readonly peer: string;
  /** The address that it connected to, as an authority. */
  readonly local: string;
}

/** Where an `Acceptor` listens, and what it calls. */
export interface Listening {
  readonly at: AcceptAddress;
  readonly log: Log;
  /** Called when no client can be accepted, and when clients can be accepted again. */
  readonly acceptingChanged: (accepting: boolean) => void;
}

export interface AcceptorOptions extends Listening {
  /**
   * Takes a client and owns its connection from then on. The next client is accepted when this has settled. Until then
   * clients wait in the kernel's accept queue. Must not reject.
   */
  readonly onAccept: (connection: AcceptedConnection) => Promise<void> | void;
  /** Opens a listener; the default is the system's. */
  readonly listen?: (at: AcceptAddress) => ClientListener;
}

/** How long the acceptor waits after file descriptors or memory have run out. */
const EXHAUSTED_MS = 100;

/** The lack is over when accepting has not failed again for this long: it would fail at once. */
const PROVEN_MS = 10;

/** Longest time for accepting clients without giving the event loop a turn. */
const MOST_BUSY_MS = 5;

/** Errors that mean that the listener itself is closed. A new one must be opened. */
const GONE_CODES: ReadonlySet<unknown> = new Set(["EBADF", "ENOTSOCK"]);

/**
 * Accepts clients until it is closed. The failure of one client (it reset its connection before it was accepted) delays
 * no other client. When file descriptors or memory run out, the acceptor waits for 100 ms. A listener that has ended is
 * opened again.
 */
export class Acceptor {
  readonly address: BoundAddress;
  readonly #options: AcceptorOptions;
  readonly #listen: NonNullable<AcceptorOptions["listen"]>;
  readonly #lost: RareLine;
  readonly #shut: RareLine;
  readonly #accepting: Promise<void>;
  #listener: ClientListener;
  #closed = false;
  #retired = false;
  #open = true;
  #proving: ReturnType<typeof setTimeout> | undefined;
  #resting: { readonly timer: ReturnType<typeof setTimeout>; readonly wake: () => void } | undefined;

  /** @throws {Deno.errors.AddrInUse} and similar errors when the address can't be bound */
  constructor(options: AcceptorOptions) {
    const { log, listen = listenAt } = options;
    this.#options = options;
    this.#listen = listen;
    this.#listener = listen(options.at);
    this.address = boundAt(options.at, this.#listener);
    this.#lost = new RareLine((reason, times) => log.debug("client lost before it was accepted", { reason, times }));
    this.#shut = new RareLine((reason, times) => log.warn("connection not accepted", { reason, times }));
    this.#watch();
    this.#accepting = this.#accept();
  }

  /** Closes the port at once; settles when `onAccept` has settled for the last client. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      closeQuietly(this.#listener);
      if (this.#options.at instanceof SocketFile) this.#options.at.remove();
      this.#wake();
      clearTimeout(this.#proving);
    }
    await this.#accepting;
    this.#lost.close();
    this.#shut.close();
  }

  /** Accepts no more clients, because another process does. Settles when `onAccept` has settled for the last one. */
  async release(): Promise<void> {
    this.#retired = true;
    this.#listener.retire?.();
    await (this.#listener.retire === undefined ? this.close() : this.#accepting);
  }

  async #accept(): Promise<void> {
    let busySince = performance.now();
    while (!this.#closed) {
      try {
        const link = await this.#listener.accept();
        this.#setOpen(true);
        const connection = this.#describe(link);
        if (connection !== undefined) await this.#options.onAccept(connection);
      } catch (error) {
        if (this.#closed || this.#retired) return;
        await this.#failed(error);
      }
      // Accepting connections that are ready never gives the event loop a turn. Only a timer lets it look at other
      // sockets.
      if (performance.now() - busySince > MOST_BUSY_MS) {
        await (this.#listener.turn?.() ?? nextTurn());
        busySince = performance.now();
      }
    }
  }

  /** `undefined`: the client has left, and the system does not know its address any more. */
  #describe(link: Deno.TcpConn | Deno.UnixConn): AcceptedConnection | undefined {
    if (!("setNoDelay" in link)) return { link, peer: UNIX_PEER, local: localAuthority(link.localAddr) };
    try {
      link.setNoDelay(true);
      return { link, peer: peerAddress(link.remoteAddr.hostname), local: localAuthority(link.localAddr) };
    } catch (error) {
      closeQuietly(link);
      this.#lost.happened(messageOf(error));
      return undefined;
    }
  }

  async #failed(error: unknown): Promise<void> {
    const reason = messageOf(error);
    const ended = hasEnded(error);
    if (!ended && !isSystemExhausted(error)) return this.#lost.happened(reason);
    this.#setOpen(false);
    this.#shut.happened(reason);
    if (ended) await this.#reopen();
    else await this.#rest();
    if (!this.#closed) this.#proving = setTimeout(() => this.#setOpen(true), PROVEN_MS);
  }

  async #reopen(): Promise<void> {
    closeQuietly(this.#listener); // frees its descriptor if that is still open
    while (!this.#closed) {
      try {
        const { at } = this.#options;
        this.#listener = this.#listen(at instanceof SharedPort ? at : sameAddress(at, this.address));
        this.#watch();
        return;
      } catch (error) {
        this.#shut.happened(messageOf(error));
        await this.#rest();
      }
    }
  }

  /** A listener whose socket is lost is closed, which makes `accept` fail, and another one is opened. */
  #watch(): void {
    const { at, log } = this.#options;
    if (at instanceof SocketFile) watchSocket(at, log, () => closeQuietly(this.#listener));
  }

  async #rest(): Promise<void> {
    await new Promise<void>((wake) => {
      this.#resting = { timer: setTimeout(wake, EXHAUSTED_MS), wake };
      if (this.#closed) this.#wake();
    });
    this.#resting = undefined;
  }

  #wake(): void {
    clearTimeout(this.#resting?.timer);
    this.#resting?.wake();
  }

  #setOpen(open: boolean): void {
    clearTimeout(this.#proving);
    if (open === this.#open) return;
    this.#open = open;
    this.#options.acceptingChanged(open);
  }
}

function hasEnded(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    (error instanceof Error && "code" in error && GONE_CODES.has(error.code));
}

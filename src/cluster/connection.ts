/** Keeps a connection to the store: opens it, opens another one when it fails, and hears what the store tells. */

import type { RedisTarget } from "../config/redis_url.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { pause } from "../net/pause.ts";
import { Pauses } from "../sources/pauses.ts";
import { settlesWithin } from "../settles_within.ts";
import { RedisLink } from "./redis_link.ts";
import { channelOf, Store } from "./store.ts";

/** What a `StoreConnection` works with. */
export interface ConnectionOptions {
  readonly target: RedisTarget;
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: () => number;
  /**
   * Called on each new connection, then at an interval, and soon after the document has changed. When it rejects, the
   * connection is given up.
   */
  readonly tick: (store: Store, occasion: { readonly first: boolean }) => Promise<void>;
  /** The connection has failed, or could not be made. */
  readonly away: (reason: string) => void;
  /** Called at the end, with the last store if it is there. */
  readonly leave: (store: Store) => Promise<void>;
}

/** Without any hint, how soon a change of others is heard of. */
const TICK_MS = 500;
/** How often a connection that only listens is tested, and how long another one waits after it has failed. */
const LISTEN_MS = 3000;
/** How long the last commands may take. */
const STOP_MS = 300;

export class StoreConnection {
  readonly #options: ConnectionOptions;
  readonly #stopping = new AbortController();
  /** Cuts all connections. */
  readonly #cutting = new AbortController();
  readonly #firstTry = Promise.withResolvers<void>();
  readonly #loop: Promise<void>;
  #wake: () => void = () => {};
  /** The document has changed since the last tick began. */
  #hinted = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** Settles when the first connection has had its first tick, or has failed. */
  get firstTry(): Promise<void> {
    return this.#firstTry.promise;
  }

  /** Ends it. What is under way has a moment to end. Settles when nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await settlesWithin(this.#loop, STOP_MS);
    this.#cutting.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#stopping;
    const pauses = new Pauses(random);
    while (!signal.aborted) {
      try {
        await this.#connected(() => pauses.reset());
      } catch (error) {
        if (!signal.aborted) this.#options.away(messageOf(error));
      }
      this.#firstTry.resolve();
      await pause(pauses.next(), clock, signal);
    }
  }

  /** From the opening of a connection to its end. Rejects when it fails. */
  async #connected(works: () => void): Promise<void> {
    const { target, prefix } = this.#options;
    const link = await RedisLink.open(target, this.#cutting.signal);
    const ended = new AbortController();
    const store = new Store(link, prefix);
    let listening: Promise<void> | undefined;
    try {
      link.failed.then(() => this.#wake());
      for (let first = true; !this.#stopping.signal.aborted; first = false) {
        this.#hinted = false;
        await this.#options.tick(store, { first });
        this.#firstTry.resolve();
        works();
        listening ??= this.#listen(ended.signal);
        if (!this.#hinted) await this.#rest(TICK_MS);
      }
      await this.#options.leave(store).catch(() => {}); // it is forgotten after a while
    } finally {
      ended.abort();
      await link.close();
      await listening;
    }
  }

  /** Hears on a connection of its own that the document has changed. A failure only means that changes come later. */
  async #listen(ended: AbortSignal): Promise<void> {
    const { target, prefix, clock } = this.#options;
    while (!ended.aborted) {
      let link: RedisLink | undefined;
      try {
        link = await RedisLink.open(target, ended);
        const { failed } = link;
        await link.subscribe(channelOf(prefix), () => this.#hint());
        this.#hint(); // what changed until now was not heard
        while (!ended.aborted) {
          await Promise.race([failed, pause(LISTEN_MS, clock, ended)]);
          await link.ping();
        }
      } catch {
        await pause(LISTEN_MS, clock, ended);
      } finally {
        await link?.close();
      }
    }
  }

  #hint(): void {
    this.#hinted = true;
    this.#wake();
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, () => resolve());
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#stopping.signal.aborted) this.#wake();
    });
  }
}

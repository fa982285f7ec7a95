/** A pool whose list comes from a source: makes the list what the source says, and sees off the backends that have gone. */

import type { BackendState, ChangedFields } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { Backend } from "./backend.ts";
import { type ChangeQueue, compare, type Lists } from "./change_queue.ts";
import { Drain } from "./drain.ts";
import { type BackendPatch, mustHaveRoom, PoolFullError, type ServerPool } from "./server_pool.ts";

/** The pool's list comes from a source, which alone adds and removes backends. */
export class FollowsSourceError extends Error {
  override readonly name = "FollowsSourceError";
}

/** How a list is followed. */
export interface FollowOptions {
  /** How long backends that have gone may drain. */
  readonly drainMs: number;
  /** The operator's states, if the list has them. Backends that it does not name are active. */
  readonly states?: ReadonlyMap<string, BackendState>;
  /** Whether checks decide which backends are up. Without them, a new backend is up at once. */
  readonly checked: boolean;
  /** Whether new backends count as up before a check has passed, where no other one takes traffic. */
  readonly startsUp: boolean;
  readonly reason: string;
  /** Fires when the list has another owner. It then changes nothing, also if its turn has yet to come. */
  readonly stop?: AbortSignal;
}

/** How often to look whether the last requests of backends that have gone have ended. */
const LOOK_MS = 10;

/**
 * Follows the lists of a source. Backends that stay keep their counts, health and connections, and what an operator has
 * set. Those that have gone drain without holding up anything, and are then removed with their WebSockets and tunnels.
 */
export class Following {
  readonly #pool: ServerPool;
  readonly #changes: ChangeQueue;
  /** Those that have gone. */
  readonly #drains = new Map<Backend, Drain>();
  /** What an operator has set, by URL. It counts in place of what the source says. */
  readonly #set = new Map<string, ChangedFields>();
  /** The entries of the last list. One that is the very same object has not changed. */
  #followed: ReadonlySet<BackendSpec> = new Set();
  /** Of the last list. */
  #reason = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #removing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(pool: ServerPool, changes: ChangeQueue) {
    this.#pool = pool;
    this.#changes = changes;
  }

  /**
   * Makes the pool's list this one. New backends take traffic only after a check, if others take it meanwhile. Must run
   * in its turn.
   *
   * @throws {PoolFullError} when there is no room. Nothing has changed then
   */
  async follow(lists: Lists, specs: readonly BackendSpec[], options: FollowOptions): Promise<void> {
    if (options.stop?.aborted === true) return;
    const pool = this.#pool;
    const { gone, kept, fresh } = compare({ pool, specs });
    const wanted = new Set(specs.map(({ url }) => url));
    const replaced = gone.filter(({ url }) => wanted.has(url)); // with other TLS settings
    const leaving = gone.filter((backend) => !wanted.has(backend.url) && !this.#drains.has(backend));
    const inTime = await this.#makeRoom(lists, specs, { removed: replaced.length, added: fresh.length });
    const removed = inTime ? replaced : gone;
    if (removed.length + fresh.length > 0) {
      const serves = kept.some(([backend, spec]) => this.#serves(backend, spec, options));
      this.#end(removed);
      this.#swap(removed, fresh, options, !options.checked || (options.startsUp && !serves));
      for (const { url } of removed) if (!wanted.has(url)) this.#set.delete(url);
    }
    const drained = leaving.filter(({ inPool }) => inPool);
    // No worker may be without the new backends when the old ones begin to drain.
    if (fresh.length > 0 && drained.length > 0) await this.#changes.settled();
    pool.updateAll([
      ...kept.flatMap(([backend, spec]) => this.#patch(backend, spec, options)),
      ...drained.map((backend) => [backend, this.#leave(backend, options.drainMs)] as const),
    ], options.reason);
    this.#followed = new Set(specs);
    this.#reason = options.reason;
    this.#watchDrains();
  }

  /** An operator has set these. They outlive the next lists. */
  keep(url: string, fields: ChangedFields): void {
    this.#set.set(url, { ...this.#set.get(url), ...fields });
  }

  /** Whether a backend has gone and drains. */
  isLeaving(backend: Backend): boolean {
    return this.#drains.has(backend);
  }

  /** Another owner has the list from now on. Returns the changes that let those of its backends serve that drain. */
  handOver(wanted: ReadonlySet<string>): (readonly [Backend, BackendPatch])[] {
    this.#set.clear();
    this.#followed = new Set();
    return [...this.#drains.keys()].filter(({ url }) => wanted.has(url))
      .map((backend) => [backend, this.#takeBack(backend)] as const);
  }

  /** Ends the drains. Backends stay as they are. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#removing;
  }

  #swap(
    removed: readonly Backend[],
    fresh: readonly BackendSpec[],
    { reason, states }: FollowOptions,
    up: boolean,
  ): void {
    const pool = this.#pool;
    pool.swap({ removed, added: fresh.map((spec) => ({ ...spec, ...this.#set.get(spec.url) })) }, reason, up);
    if (states === undefined) return;
    const urls = new Set(fresh.map(({ url }) => url));
    const added = pool.backends.filter(({ url }) => urls.has(url));
    pool.updateAll(added.map((backend) => [backend, { state: states.get(backend.url) ?? "active" }]), reason);
  }

  /** Whether the backend takes traffic and goes on to. */
  #serves(backend: Backend, { url, weight }: BackendSpec, { states }: FollowOptions): boolean {
    const own = this.#drains.get(backend)?.restoring.state ?? backend.state;
    const state = states === undefined ? own : states.get(url) ?? "active";
    return backend.alive && state === "active" && (this.#set.get(backend.url)?.weight ?? weight) > 0;
  }

  #patch(
    backend: Backend,
    spec: BackendSpec,
    { states }: FollowOptions,
  ): (readonly [Backend, BackendPatch])[] {
    const drains = this.#drains.has(backend);
    if (!drains && states === undefined && this.#followed.has(spec)) return [];
    const { url, weight, maxConnections, backup } = spec;
    const returns = drains ? this.#takeBack(backend) : {};
    const state = states === undefined ? {} : { state: states.get(url) ?? "active" };
    return [[backend, { weight, maxConnections, backup, ...this.#set.get(url), ...returns, ...state }]];
  }

  #leave(backend: Backend, limitMs: number): BackendPatch {
    const drain = new Drain(backend, { limitMs, byList: true });
    this.#drains.set(backend, drain);
    return drain.patch;
  }

  #takeBack(backend: Backend): BackendPatch {
    const restoring = this.#drains.get(backend)?.restoring ?? {};
    this.#drains.delete(backend);
    return restoring;
  }

  /**
   * Returns whether there is room for the new backends beside those that have gone. If not, these can't drain.
   *
   * @throws {PoolFullError} when there is no room even then
   */
  async #makeRoom(
    lists: Lists,
    specs: readonly BackendSpec[],
    change: { readonly removed: number; readonly added: number },
  ): Promise<boolean> {
    const { slots } = this.#pool.shared.memory;
    try {
      mustHaveRoom(slots, change);
      return true;
    } catch (error) {
      if (!(error instanceof PoolFullError)) throw error;
      await lists.makeRoom([{ pool: this.#pool, specs }]);
      return false;
    }
  }

  /** Backends are about to be removed: their WebSockets and tunnels end, and nothing is kept for them. */
  #end(backends: readonly Backend[]): void {
    for (const backend of backends) {
      backend.endLasting();
      this.#drains.delete(backend);
    }
  }

  #watchDrains(): void {
    if (this.#timer !== undefined || this.#stopped || this.#drains.size === 0) return;
    this.#timer = setTimeout(() => void (this.#removing = this.#look()), LOOK_MS);
  }

  async #look(): Promise<void> {
    const isOver = Array.from(this.#drains.values()).some((drain) => drain.isOver);
    if (isOver) await this.#changes.run(() => this.#removeDrained());
    this.#timer = undefined;
    this.#watchDrains();
  }

  /** Removes all that are over in one step. Those that were taken back in the meantime stay. */
  #removeDrained(): void {
    const over = [...this.#drains.values()].filter((drain) => drain.isOver).map(({ backend }) => backend);
    const removed = over.filter(({ inPool }) => inPool);
    this.#end(over);
    for (const { url } of removed) this.#set.delete(url);
    if (removed.length > 0) this.#pool.swap({ removed, added: [] }, this.#reason, true);
  }
}

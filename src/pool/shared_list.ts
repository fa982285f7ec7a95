/** A list that all replicas share: takes over what the others have changed. */

import type { BackendState } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { Backend } from "./backend.ts";
import { type ChangeQueue, type Difference, type Lists, usesOneOf, type WantedBackends } from "./change_queue.ts";
import { Drain } from "./drain.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";

/** The settings of backends, with what the replicas have changed. */
export interface SharedSettings {
  readonly specs: readonly BackendSpec[];
  /** By URL. The state of the others is `active`. */
  readonly states: ReadonlyMap<string, BackendState>;
}

/** A list with what the replicas have changed. */
export interface SharedBackends extends WantedBackends, SharedSettings {
  /** How long backends that are not in the list may drain, by URL. The others are removed at once. */
  readonly drains: ReadonlyMap<string, number>;
}

/** What a `SharedList` works with. */
export interface SharedListOptions {
  readonly pool: ServerPool;
  readonly changes: ChangeQueue;
  /** All drains of the pool. */
  readonly drains: Set<Drain>;
}

/** Sees off the backends that another replica has removed. */
export class SharedList {
  readonly #options: SharedListOptions;
  /** Removals that another replica has asked for, until they are made. */
  readonly #partings = new Map<Drain, Promise<void>>();

  constructor(options: SharedListOptions) {
    this.#options = options;
  }

  /**
   * Replaces the list in one step, and the states. Must run in its turn. There must be room. Removals that are under way
   * go on, unless the list has the backend again.
   */
  replace(lists: Lists, { states, drains: limits, ...wanted }: SharedBackends): Difference {
    const { pool, drains } = this.#options;
    const urls = new Set(wanted.specs.map(({ url }) => url));
    const gone = pool.backends.filter((backend) => !urls.has(backend.url) && !isRenewed(backend, wanted));
    const leaving = new Set([...drains].filter(({ isOn }) => isOn).map(({ backend }) => backend));
    const begun = gone.filter((backend) => !leaving.has(backend) && (limits.get(backend.url) ?? 0) > 0)
      .map((backend) => new Drain(backend, { limitMs: limits.get(backend.url) ?? 0, byList: true }));
    for (const drain of begun) this.#seeOff(drain, wanted.reason);
    const staying = gone.filter((backend) => leaving.has(backend) || begun.some((drain) => drain.backend === backend));
    const difference = lists.replace({ ...wanted, specs: [...wanted.specs, ...staying.map(({ spec }) => spec)] });
    pool.updateAll([
      ...begun.map((drain): Change => [drain.backend, drain.patch]),
      ...pool.backends.filter(({ url }) => urls.has(url)).map((backend): Change => {
        for (const drain of drains) if (drain.backend === backend) drain.callOff("was changed by another replica");
        return [backend, { state: states.get(backend.url) ?? "active" }];
      }),
    ], wanted.reason);
    return difference;
  }

  /** Gives backends of a list that a source has found these settings. Must run in its turn. */
  set({ specs, states }: SharedSettings, reason: string): void {
    const { pool } = this.#options;
    const present = new Map(pool.backends.map((backend) => [backend.url, backend]));
    pool.updateAll(
      specs.flatMap(({ url, weight, maxConnections, backup }): Change[] => {
        const backend = present.get(url);
        if (backend === undefined) return [];
        return [[backend, { weight, maxConnections, backup, state: states.get(url) ?? "active" }]];
      }),
      reason,
    );
  }

  /** Settles when no removal by another replica is under way. They are called off. */
  async stop(): Promise<void> {
    for (const drain of this.#partings.keys()) drain.callOff("roundhouse is stopping");
    await Promise.all(this.#partings.values());
  }

  /** Removes a backend when it has drained, unless it was called back. */
  #seeOff(drain: Drain, reason: string): void {
    const { pool, changes, drains } = this.#options;
    drains.add(drain);
    const removed = drain.ended().then(() =>
      changes.run(() => {
        drains.delete(drain);
        this.#partings.delete(drain);
        if (drain.isOn) pool.remove(drain.backend, reason, { drained: true });
      })
    );
    this.#partings.set(drain, removed);
  }
}

type Change = readonly [Backend, BackendPatch];

/** Whether a backend can't stay, because the content of a file that its TLS settings name has changed. */
function isRenewed({ tls }: Backend, { changedFiles }: WantedBackends): boolean {
  return changedFiles !== undefined && usesOneOf(changedFiles, tls);
}

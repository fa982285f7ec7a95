/** A deployment: a pool gets another list of backends completely and without a failed request, or nothing changes. */

import type { BackendSpec } from "../config/schema.ts";
import type { Backend } from "./backend.ts";
import { compare } from "./change_queue.ts";
import type { ChangeOptions } from "./keeping.ts";
import type { BackendPatch, PoolEvent, ServerPool } from "./server_pool.ts";

/**
 * Checks a server that is not in the pool yet, until a check passes. Resolves with `null` then, or with the reason of
 * the last failure when `stopped` fires.
 */
export type Trial = (spec: BackendSpec, stopped: AbortSignal) => Promise<string | null>;

/** What a deployment is to do. */
export interface DeploymentOptions extends ChangeOptions {
  /** The new list. No URL may occur twice. */
  readonly specs: readonly BackendSpec[];
  /** How long the new backends may take to pass a check. */
  readonly waitMs: number;
  /** How long the backends that leave may drain. */
  readonly drainMs: number;
  readonly reason: string;
  /** Fires when whoever asked has left. Ends the deployment, unless the pool has switched. */
  readonly abandoned: AbortSignal;
  /** Called before the wait for the new backends. */
  readonly begun?: (added: readonly string[]) => void;
  /** Called when the pool has switched to the new list. */
  readonly switched?: (lists: Deployed) => void;
}

/** The result of a deployment. Each URL of the old and the new list is in one of these lists. */
export interface Deployed {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Those that stay as they are. */
  readonly kept: readonly string[];
  /** Those that stay with other settings. */
  readonly changed: readonly string[];
}

/** A new backend that has passed no check. */
export interface FailedTrial {
  readonly backend: string;
  readonly reason: string;
}

/** New backends have passed no check in time. Nothing has changed. */
export class TrialsFailedError extends Error {
  override readonly name = "TrialsFailedError";
  readonly failed: readonly FailedTrial[];

  constructor(failed: readonly FailedTrial[]) {
    const count = failed.length === 1 ? "1 new backend has" : `${failed.length} new backends have`;
    super(`${count} not passed a check in time; nothing has changed`);
    this.failed = failed;
  }
}

/** A deployment ended before the pool had switched. Nothing has changed. */
export class DeploymentEndedError extends Error {
  override readonly name = "DeploymentEndedError";
}

/** How the changes of one step are made. */
interface Steps {
  /** Settles when all isolates have heard of the earlier changes of the list. */
  readonly settled: () => Promise<void>;
  /** Changes that take back kept backends which were about to be removed. */
  readonly takeBack: (backend: Backend) => BackendPatch;
  /** Begins to drain a backend, as soon as the returned changes are made. */
  readonly leave: (backend: Backend) => BackendPatch;
}

/** A deployment up to the moment when the pool has switched. It watches whether the pool changes in the meantime. */
export class Deployment {
  readonly #pool: ServerPool;
  readonly #options: DeploymentOptions;
  readonly #fresh: readonly BackendSpec[];
  /** Backends whose removal was under way at the beginning, and which the new list leaves out, too. */
  readonly #leaving: ReadonlySet<Backend>;
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #onAbandoned = () => this.end("the client has left");
  #endedBecause: string | undefined;

  /**
   * @param leaving backends whose removal is under way
   */
  constructor(pool: ServerPool, options: DeploymentOptions, leaving: Iterable<Backend>) {
    const { specs, abandoned } = options;
    this.#pool = pool;
    this.#options = options;
    const { fresh, gone } = compare({ pool, specs });
    this.#fresh = fresh;
    this.#leaving = new Set([...leaving].filter((backend) => gone.includes(backend)));
    this.#unsubscribe = pool.subscribe((event) => this.#poolChanged(event));
    abandoned.addEventListener("abort", this.#onAbandoned);
    if (abandoned.aborted) this.#onAbandoned();
  }

  /** The URLs of the backends that have to pass a check. */
  get fresh(): readonly string[] {
    return this.#fresh.map(({ url }) => url);
  }

  /** Ends the deployment, unless the pool has switched. */
  end(why: string): void {
    this.#endedBecause ??= why;
    this.#stopping.abort();
  }

  /**
   * Waits until every new backend has passed a check.
   *
   * @throws {TrialsFailedError} when one has not in time
   * @throws {DeploymentEndedError} when the deployment was ended
   */
  async tryOut(trial: Trial): Promise<void> {
    const { signal } = this.#stopping;
    const timer = setTimeout(() => this.#stopping.abort(), this.#options.waitMs);
    const reasons = await Promise.all(this.#fresh.map((spec) => trial(spec, signal)))
      .finally(() => clearTimeout(timer));
    this.mustGoOn();
    const failed = this.#fresh.flatMap(({ url }, index): FailedTrial[] => {
      const reason = reasons[index] ?? null;
      return reason === null ? [] : [{ backend: url, reason }];
    });
    if (failed.length > 0) throw new TrialsFailedError(failed);
  }

  /** @throws {DeploymentEndedError} when the deployment was ended */
  mustGoOn(): void {
    if (this.#endedBecause === undefined) return;
    throw new DeploymentEndedError(`the deployment has ended: ${this.#endedBecause}; it has changed nothing`);
  }

  /** From now on, nothing ends the deployment. May be called more than once. */
  close(): void {
    this.#unsubscribe();
    this.#options.abandoned.removeEventListener("abort", this.#onAbandoned);
  }

  /**
   * Switches to the new list. The new backends are placed with weight 0 first. When all isolates know them, one step in
   * shared memory gives them their weights and begins to drain those that leave. So no isolate is ever without
   * backends, and no request goes to an old one after another has gone to a new one.
   */
  async switch({ settled, takeBack, leave }: Steps): Promise<Deployed> {
    this.close();
    const { specs, reason } = this.#options;
    const pool = this.#pool;
    const { gone, kept, fresh } = compare({ pool, specs });
    const wanted = new Set(specs.map(({ url }) => url));
    const [leaving, replaced] = [gone.filter(({ url }) => !wanted.has(url)), gone.filter(({ url }) => wanted.has(url))];
    const [replacing, arriving] = split(fresh, ({ url }) => replaced.some((backend) => backend.url === url));
    if (arriving.length > 0) {
      const placed = arriving.map((spec) => ({ ...spec, weight: 0 }));
      pool.swap({ removed: [], added: placed }, reason, true);
      await settled();
    }
    // With other TLS settings, a backend can't be in the pool beside its old self. Isolates swap the two.
    if (replaced.length > 0) pool.swap({ removed: replaced, added: replacing }, reason, true);
    const keptNow = new Set(kept.map(([backend]) => backend));
    const changed = pool.updateAll([
      ...arriving.flatMap(({ url, weight }) => {
        const backend = pool.getByUrl(url);
        return backend === undefined ? [] : [[backend, { weight }] as const];
      }),
      ...kept.map(([backend, { weight, maxConnections, backup }]) =>
        [backend, { weight, maxConnections, backup, ...takeBack(backend) }] as const
      ),
      ...leaving.map((backend) => [backend, leave(backend)] as const),
    ], reason).filter((backend) => keptNow.has(backend));
    return {
      added: arriving.map(({ url }) => url),
      removed: leaving.map(({ url }) => url),
      kept: kept.map(([backend]) => backend).filter((backend) => !changed.includes(backend)).map(({ url }) => url),
      changed: [...changed, ...replacing].map(({ url }) => url),
    };
  }

  #poolChanged({ type, backend, reason }: PoolEvent): void {
    if (type === "up" || type === "down") return;
    if (type === "removed" && this.#leaving.has(backend)) return;
    this.end(`the pool has changed: ${CHANGES[type]} ${backend.url} (${reason})`);
  }
}

const CHANGES = {
  added: "added",
  removed: "removed",
  changed: "changed",
  active: "enabled",
  draining: "began to drain",
  disabled: "disabled",
} as const satisfies Record<Exclude<PoolEvent["type"], "up" | "down">, string>;

function split<T>(list: readonly T[], test: (item: T) => boolean): readonly [T[], T[]] {
  return [list.filter(test), list.filter((item) => !test(item))];
}

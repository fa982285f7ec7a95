/**
 * Puts what a source finds into a pool. What is written here holds for every kind of source: a failure removes nothing,
 * an empty answer only after a while, and an answer that can't be believed is a failure.
 */

import type { BackendSpec, Discover } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { PoolEndedError } from "../pool/membership.ts";
import type { BackendSource, FoundBackend, SourceReport } from "../sources/source.ts";

/** What a `Discovery` needs. */
export interface DiscoveryOptions {
  readonly discover: Discover;
  readonly source: BackendSource;
  readonly clock: Clock;
  /** Throws an error with one line when the pool can't have these backends, which are new or different. */
  readonly mustServe: (backends: readonly BackendSpec[]) => void;
  /** Makes the pool's list this one. Rejects when it can't. */
  readonly follow: (backends: readonly BackendSpec[], drainMs: number, stop: AbortSignal) => Promise<void>;
  /** Whether the pool has backends of an earlier owner. They are kept as the last list of a source is. */
  readonly hasBackends: boolean;
  /** Whether `/readyz` waits for its first answer, because it is there since the start. */
  readonly isAwaited: boolean;
  /** The source has begun to fail, or is back. */
  readonly changed: (status: SourceStatus) => void;
}

/** What the admin API shows of a source. */
export interface SourceStatus {
  readonly kind: Discover["kind"];
  /** Whether its last answer could be used. */
  readonly ok: boolean;
  readonly lastSuccess: Date | null;
  /** Since when it fails. */
  readonly staleSince: Date | null;
  readonly error: string | null;
}

/** How long `/readyz` waits for the first answer of a pool that was there at the start. */
const READY_WITHIN_MS = 30_000;

/** When to try again to put a list in force for which there was no room. */
const RETRY_MS = 1000;

/** The source of one pool while it runs. */
export class Discovery {
  /** Settles when the first answer is in force. */
  readonly answered: Promise<void>;
  readonly #options: DiscoveryOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #discover: Discover;
  #answer: () => void = () => {};
  #isAwaited: boolean;
  readonly #cancelAwaiting: () => void;
  #lastSuccess: Date | null = null;
  #staleSince: Date | null = null;
  #error: string | null = null;
  /** The list that is to be in force; `undefined`: none was found yet. */
  #wanted: readonly BackendSpec[] | undefined;
  /** The list in force by URL. */
  #inForce: ReadonlyMap<string, BackendSpec> | undefined;
  #following: Promise<void> = Promise.resolve();
  #isFollowing = false;
  #cancelEmpty: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(options: DiscoveryOptions) {
    const { discover, source, clock } = options;
    this.#options = options;
    this.#discover = discover;
    this.#isAwaited = options.isAwaited;
    this.answered = new Promise((resolve) => this.#answer = resolve);
    this.#cancelAwaiting = clock.after(READY_WITHIN_MS, () => this.#isAwaited = false);
    const report: SourceReport = {
      found: (backends) => this.#found(backends),
      failed: (error) => this.#failed(error),
    };
    this.#running = source.run(report, this.#stopping.signal);
  }

  /** Whether its first answer is still waited for. */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  get status(): SourceStatus {
    return {
      kind: this.#discover.kind,
      ok: this.#lastSuccess !== null && this.#staleSince === null,
      lastSuccess: this.#lastSuccess,
      staleSince: this.#staleSince,
      error: this.#error,
    };
  }

  /** Whether the same source runs with another setting. */
  fits(discover: Discover): boolean {
    return identity(discover) === identity(this.#discover);
  }

  /** Uses another setting, which names the same source. */
  configure(discover: Discover): void {
    this.#discover = discover;
  }

  /** Ends the source. The pool's list stays. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelEmpty?.();
    this.#cancelRetry?.();
    this.#doneAwaiting();
    await this.#running;
    await this.#following;
  }

  #found(found: readonly FoundBackend[]): void {
    if (this.#stopping.signal.aborted) return;
    const backends = inUse(found);
    try {
      this.#options.mustServe(this.#unchecked(backends));
    } catch (error) {
      return this.#failed(messageOf(error));
    }
    const hasBackends = this.#wanted === undefined ? this.#options.hasBackends : this.#wanted.length > 0;
    if (backends.length === 0 && hasBackends) {
      this.#succeeded();
      this.#cancelEmpty ??= this.#options.clock.after(this.#discover.keepForMs, () => this.#want([]));
      return;
    }
    this.#want(backends);
  }

  #failed(error: string): void {
    if (this.#stopping.signal.aborted) return;
    this.#endEmpty();
    const isNew = this.#staleSince === null;
    this.#staleSince ??= new Date(this.#options.clock.now());
    this.#error = error;
    if (isNew) this.#options.changed(this.status);
  }

  #succeeded(): void {
    if (this.#stopping.signal.aborted) return;
    const wasStale = this.#staleSince !== null;
    this.#lastSuccess = new Date(this.#options.clock.now());
    this.#staleSince = null;
    this.#error = null;
    if (wasStale) this.#options.changed(this.status);
  }

  /** Puts a list in force as soon as the one before it is. Of several that come meanwhile, only the last counts. */
  #want(backends: readonly BackendSpec[]): void {
    this.#endEmpty();
    this.#wanted = backends;
    if (!this.#isFollowing) this.#following = this.#follow();
  }

  async #follow(): Promise<void> {
    this.#isFollowing = true;
    try {
      while (this.#wanted !== undefined && !this.#isInForce(this.#wanted)) {
        const wanted = this.#wanted;
        await this.#options.follow(wanted, this.#discover.drainMs, this.#stopping.signal);
        this.#inForce = new Map(wanted.map((spec) => [spec.url, spec]));
      }
      this.#succeeded();
      this.#doneAwaiting();
    } catch (error) {
      if (!(error instanceof PoolEndedError)) this.#retry(error);
    } finally {
      this.#isFollowing = false; // at once, because the next list may be wanted in the same turn
    }
  }

  /** There was no room. A source that watches may not tell the same list again. */
  #retry(error: unknown): void {
    this.#failed(messageOf(error));
    this.#cancelRetry?.();
    if (this.#stopping.signal.aborted) return;
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => this.#want(this.#wanted ?? []));
  }

  #doneAwaiting(): void {
    this.#isAwaited = false;
    this.#cancelAwaiting();
    this.#answer();
  }

  #endEmpty(): void {
    this.#cancelEmpty?.();
    this.#cancelEmpty = undefined;
  }

  /** The backends that the pool does not have so far. All of them when two have the same URL. */
  #unchecked(backends: readonly BackendSpec[]): readonly BackendSpec[] {
    const urls = new Set(backends.map(({ url }) => url));
    return urls.size < backends.length ? backends : backends.filter((spec) => !this.#has(spec));
  }

  #has(spec: BackendSpec): boolean {
    return isSame(spec, this.#inForce?.get(spec.url));
  }

  #isInForce(backends: readonly BackendSpec[]): boolean {
    return this.#inForce?.size === backends.length && backends.every((spec) => this.#has(spec));
  }
}

/** Those that are about to end serve only while there is no other. */
function inUse(found: readonly FoundBackend[]): readonly BackendSpec[] {
  const staying = found.filter(({ leaving = false }) => !leaving);
  return (staying.length > 0 ? staying : found).map(({ spec }) => spec);
}

function isSame(one: BackendSpec, other: BackendSpec | undefined): boolean {
  if (one === other) return true;
  return other !== undefined && one.weight === other.weight && one.maxConnections === other.maxConnections &&
    one.backup === other.backup && (one.tls === other.tls || JSON.stringify(one.tls) === JSON.stringify(other.tls));
}

/** A setting without what may change while the source runs. */
function identity({ keepForMs: _keepFor, drainMs: _drain, ...source }: Discover): string {
  return JSON.stringify(source);
}

/**
 * `mirror`: copies of requests for another pool. The client and the pool of the request notice nothing of it, whatever the
 * other pool does.
 */

import { messageOf, type ProxyError } from "../errors.ts";
import type { MirrorConfig } from "../config/schema/mirror.ts";
import type { PickRequest } from "../balancing/strategy.ts";
import type { Log } from "../log.ts";
import type { ConcurrencyCells } from "../memory/concurrency_cells.ts";
import type { MirrorResult } from "../memory/request_metrics.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import { CollectedBytes } from "../net/collected_bytes.ts";
import { turnEpoch, turnNow } from "../net/turn_clock.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import type { PoolRuntime } from "../routing/pool_runtime.ts";
import type { BodyWatcher, CopyListener, Exchange, Limits, RequestCopies } from "./exchange.ts";
import type { HeaderPair } from "./message.ts";
import type { RequestRecorder } from "./record.ts";

/** Most copies of one `mirror` at a time, of all isolates. Each may hold a body. */
const MOST_COPIES = 100;

/** What is copied: a request as the backends of its own pool get it. */
export interface Original extends Omit<PickRequest, "accepts"> {
  readonly exchange: Pick<Exchange, "request" | "copies">;
  readonly parts: { readonly recorder: Pick<RequestRecorder, "mirrored">; readonly log: Log };
  readonly rules: { readonly limits: Pick<Limits, "timeouts"> };
  readonly forwarded: { readonly requestId: string };
  readonly backendTarget: string;
  readonly headers: readonly HeaderPair[];
}

/** What a `Mirror` needs. */
export interface MirrorParts {
  readonly config: MirrorConfig;
  /** The pool that gets the copies. */
  readonly pool: PoolRuntime;
  /** Counts the copies that have not ended. */
  readonly places: ConcurrencyCells;
}

/** Made once for a configuration. All requests that inherit it from the top level share one. */
export class Mirror {
  readonly pool: PoolRuntime;
  readonly maxBodyBytes: number;
  readonly #places: ConcurrencyCells;
  readonly #methods: ReadonlySet<string>;
  readonly #share: number;

  constructor({ config, pool, places }: MirrorParts) {
    this.pool = pool;
    this.maxBodyBytes = config.maxBodyBytes;
    this.#places = places;
    this.#methods = new Set(config.methods);
    this.#share = config.share;
  }

  /**
   * Begins to copy a request that goes to its pool; `undefined`: it is not copied. Call it before the first attempt, and
   * the copy's two methods later.
   */
  begin(original: Original): MirroredRequest | undefined {
    const { exchange: { copies, request: { method, bodyBytes } }, parts: { recorder } } = original;
    if (copies === undefined || !this.#methods.has(method)) return undefined;
    if (this.#share < 1 && Math.random() >= this.#share) return undefined;
    if (bodyBytes !== undefined && bodyBytes > this.maxBodyBytes) recorder.mirrored("too_large");
    else if (!this.#places.take(MOST_COPIES)) recorder.mirrored("busy");
    else return new MirroredRequest(original, copies, this);
    return undefined;
  }

  /** A copy has ended. */
  giveBack(): void {
    this.#places.giveBack();
  }
}

/** The copy of one request. */
export class MirroredRequest implements BodyWatcher, CopyListener, PickRequest {
  readonly #original: Original;
  readonly #copies: RequestCopies;
  readonly #mirror: Mirror;
  readonly #body: CollectedBytes | undefined;
  /** Whether it waits for its request, or for the rest of the body. */
  #waits = true;
  #lease: Lease | undefined;
  #sentAt = 0;
  #answered = false;

  constructor(original: Original, copies: RequestCopies, mirror: Mirror) {
    this.#original = original;
    this.#copies = copies;
    this.#mirror = mirror;
    if (original.exchange.request.bodyBytes === 0) return;
    this.#body = new CollectedBytes(mirror.maxBodyBytes);
    copies.watchBody(this);
  }

  /** The request is on its way. */
  requestSent(): void {
    if (this.#waits && this.#body === undefined) this.#send(undefined);
  }

  /** The request has ended. What has not arrived of its body by now never will. */
  requestEnded(): void {
    if (this.#waits) this.#end("incomplete");
  }

  bodyCame(part: Uint8Array, last: boolean): void {
    if (!this.#waits || this.#body === undefined) return;
    if (!this.#body.add(part)) this.#end("too_large");
    else if (last) this.#send(this.#body.bytes);
  }

  answered(status: number): void {
    const { backend } = this.#held;
    this.#answered = true;
    backend.answered(status, turnNow() - this.#sentAt, turnEpoch());
    if (status >= 500) this.#mirror.pool.passive.serverError(backend, status);
  }

  ended(failure: ProxyError | undefined): void {
    const lease = this.#held;
    if (failure !== undefined) this.#blame(lease.backend, failure);
    this.#mirror.pool.release(lease);
    this.#end(this.#answered ? "answered" : "failed");
  }

  get client(): string {
    return this.#original.client;
  }

  get target(): string {
    return this.#original.target;
  }

  header(name: string): string | undefined {
    return this.#original.header(name);
  }

  accepts(backend: Backend): boolean {
    return backend.hasRoomFor(NO_TICKET);
  }

  get #held(): Lease {
    if (this.#lease === undefined) throw new Error("a copy ended that was not sent");
    return this.#lease;
  }

  #send(body: Uint8Array<ArrayBuffer> | undefined): void {
    this.#waits = false;
    const lease = this.#takeLease();
    if (lease === undefined) return this.#end("unavailable");
    this.#lease = lease;
    this.#sentAt = turnNow();
    const { backendTarget: target, headers, rules: { limits: { timeouts } } } = this.#original;
    this.#copies.sendCopy({ backend: lease.backend, target, headers, body, timeouts }, this);
  }

  /** There is one try. A copy waits for no place, because the request would be long over. */
  #takeLease(): Lease | undefined {
    const { balancer } = this.#mirror.pool;
    for (let backend = balancer.pick(this); backend !== undefined; backend = balancer.pick(this)) {
      const lease = backend.lease();
      if (lease !== undefined) return lease; // otherwise another isolate took the last place in between
    }
    return undefined;
  }

  #blame(backend: Backend, { code, side, message, cause }: ProxyError): void {
    const { parts: { log }, forwarded: { requestId } } = this.#original;
    const reason = cause === undefined ? message : `${message}: ${messageOf(cause)}`;
    log.debug("copy failed", { backend: backend.url, requestId, code, reason });
    if (side !== "backend") return;
    const { passive } = this.#mirror.pool;
    backend.countFailure();
    if (code === "connect_failed") passive.connectFailed(backend, message);
    else passive.failed(backend, message);
  }

  #end(result: MirrorResult): void {
    this.#waits = false;
    this.#mirror.giveBack();
    this.#original.parts.recorder.mirrored(result);
  }
}

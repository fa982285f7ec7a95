/** A pool whose backends a guard asks. */

import { ProxyError } from "../errors.ts";
import type { Backend, Lease } from "../pool/backend.ts";
import { NO_TICKET } from "../memory/waiting_line.ts";
import { turnEpoch, turnNow } from "../net/turn_clock.ts";

/** What the strategy of a pool may know of a question. */
export interface PoolQuestion {
  readonly client: string;
  readonly target: string;
  header(name: string): string | undefined;
  accepts(backend: Backend): boolean;
}

/** The part of a pool that guards use. */
export interface AskedPool {
  /** Takes a place at the backend whose turn it is; `undefined`: none has room. */
  lease(question: PoolQuestion): Lease | undefined;
  /** Gives a place back. */
  release(lease: Lease): void;
  /** Told about questions that failed because of a backend. */
  readonly passive: {
    connectFailed(backend: Backend, reason: string): void;
    failed(backend: Backend, reason: string): void;
    serverError(backend: Backend, status: number): void;
  };
}

/** The request that is asked about. */
interface AskingRequest {
  readonly client: string;
  believed(name: string): string | undefined;
}

/** One question to a backend of a pool. It counts there like any request. */
export class PooledQuestion {
  readonly backend: Backend;
  readonly #pool: AskedPool;
  readonly #lease: Lease;
  readonly #askedAt = turnNow();

  /** @param path what the backend is asked for, without its base path */
  static begin(pool: AskedPool, path: string, request: AskingRequest): PooledQuestion | undefined {
    const lease = pool.lease({
      client: request.client,
      target: path,
      header: (name) => request.believed(name),
      accepts: (backend) => backend.hasRoomFor(NO_TICKET),
    });
    return lease && new PooledQuestion(pool, lease);
  }

  private constructor(pool: AskedPool, lease: Lease) {
    this.#pool = pool;
    this.#lease = lease;
    this.backend = lease.backend;
  }

  answered(status: number): void {
    const { backend } = this;
    backend.answered(status, turnNow() - this.#askedAt, turnEpoch());
    if (status >= 500) this.#pool.passive.serverError(backend, status);
  }

  failed(error: unknown): void {
    if (!(error instanceof ProxyError) || error.side !== "backend") return;
    const { backend } = this;
    const { passive } = this.#pool;
    backend.countFailure();
    if (error.code === "connect_failed") passive.connectFailed(backend, error.message);
    else passive.failed(backend, error.message);
  }

  ended(): void {
    this.#pool.release(this.#lease);
  }
}

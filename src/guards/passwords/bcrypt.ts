/** Checks bcrypt hashes in an isolate of its own, because bcrypt would hold the event loop. */

import type { BcryptAnswer, BcryptQuestion } from "./bcrypt_worker.ts";
import { BCRYPT_WORKER_URL } from "./bcrypt_worker_url.ts";

/** Who waits for an answer. */
interface Asker {
  resolve(matches: boolean): void;
  reject(error: Error): void;
}

/** After the isolate has failed, the next one starts only after this time. */
const RESTART_PAUSE_MS = 1000;

export interface BcryptOptions {
  /** The module of the isolate. */
  readonly url?: URL;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

/** Owns the isolate, which starts at the first question. */
export class BcryptChecks implements Disposable {
  readonly #url: URL;
  readonly #now: () => number;
  readonly #askers = new Map<number, Asker>();
  #worker: Worker | undefined;
  #number = 0;
  #isDisposed = false;
  #failedAtMs = -Infinity;

  constructor({ url = BCRYPT_WORKER_URL, now = () => performance.now() }: BcryptOptions = {}) {
    this.#url = url;
    this.#now = now;
  }

  /** Whether it is the password of the hash. Rejects if the isolate has failed. A later question starts another one. */
  matches(password: string, hash: string): Promise<boolean> {
    if (this.#isDisposed) return Promise.reject(new Error("bcrypt hashes are no longer checked"));
    if (this.#worker === undefined && this.#now() - this.#failedAtMs < RESTART_PAUSE_MS) {
      return Promise.reject(new Error("the isolate for bcrypt has just failed"));
    }
    const worker = this.#worker ??= this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const number = ++this.#number;
    this.#askers.set(number, { resolve, reject });
    worker.postMessage({ number, password, hash } satisfies BcryptQuestion);
    return promise;
  }

  /** Ends the isolate. Questions that it has not answered yet are rejected. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#end("nobody needs it any more");
  }

  #start(): Worker {
    const worker = new Worker(this.#url, { type: "module", name: "bcrypt" });
    worker.onmessage = ({ data: { number, matches } }: MessageEvent<BcryptAnswer>) => {
      this.#askers.get(number)?.resolve(matches);
      this.#askers.delete(number);
    };
    worker.onerror = (event) => {
      event.preventDefault(); // otherwise the error would end this isolate, too
      if (worker !== this.#worker) return;
      this.#failedAtMs = this.#now();
      this.#end(event.message);
    };
    return worker;
  }

  #end(reason: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    const askers = [...this.#askers.values()];
    this.#askers.clear();
    for (const { reject } of askers) reject(new Error(`the isolate for bcrypt has ended: ${reason}`));
  }
}

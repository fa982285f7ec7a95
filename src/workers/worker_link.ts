/** One worker, as the control plane sees it: sends orders, and receives acknowledgements and news. */

import { messageOf } from "../errors.ts";
import type { Done, News, Numbered, Order, Report, Started, StartOrder } from "./messages.ts";

/** The receiver of a worker's news. */
export interface LinkListener {
  news(news: News): void;
  /** The worker has ended because of an error. Nothing of it runs any more. Not called after `terminate`. */
  failed(reason: string): void;
}

interface Pending {
  readonly resolve: (done: Done | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** A running worker. */
export class WorkerLink {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #number = 0;
  #ended = false;
  #following = false;

  /** Starts an isolate, which then waits for orders. */
  constructor(url: URL, name: string, listener: LinkListener) {
    const failed = (reason: string) => {
      if (this.#ended) return;
      this.#end();
      listener.failed(reason);
    };
    this.#worker = new Worker(url, { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (this.#ended) return;
      switch (data.type) {
        case "done":
          return this.#take(data.number)?.resolve(data);
        case "refused":
          return this.#take(data.number)?.reject(runtimeError(data.name, data.message));
        case "failed":
          return failed(data.reason);
        default:
          return listener.news(data);
      }
    };
    // The module could not be loaded, or the worker ended before it could report the reason.
    this.#worker.onerror = (event) => {
      event.preventDefault();
      failed(event.message);
    };
    this.#worker.onmessageerror = (event) => failed(`unreadable message: ${messageOf(event.data)}`);
  }

  /** Whether it was told to start. Later changes must then be sent to it. */
  get following(): boolean {
    return this.#following;
  }

  /** Resolves with `undefined` if the worker ended before it could start. Rejects if it can't listen. */
  async start(order: StartOrder): Promise<Started | undefined> {
    this.#following = true;
    return (await this.#send(order))?.started;
  }

  /** Settles when the worker has carried the order out; with `undefined` when it has ended. */
  order(order: Exclude<Order, StartOrder>): Promise<Done | undefined> {
    return this.#send(order);
  }

  /** Ends the worker at any point. */
  terminate(): void {
    if (!this.#ended) this.#end();
  }

  #send(order: Order): Promise<Done | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const { promise, resolve, reject } = Promise.withResolvers<Done | undefined>();
    const number = ++this.#number;
    this.#pending.set(number, { resolve, reject });
    this.#worker.postMessage({ number, order } satisfies Numbered);
    return promise;
  }

  #take(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    this.#pending.delete(number);
    return pending;
  }

  #end(): void {
    this.#ended = true;
    this.#worker.terminate();
    for (const { resolve } of this.#pending.values()) resolve(undefined);
    this.#pending.clear();
  }
}

/** Makes an error of the same class as the runtime's error in the worker. */
function runtimeError(name: string, message: string): Error {
  const kinds: Readonly<Record<string, new (message: string) => Error>> = { ...Deno.errors };
  return new (kinds[name] ?? Error)(message);
}

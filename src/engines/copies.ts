/** The copies of requests that an engine is sending. They may last longer than the clients' connections. */

/** One copy. */
export interface OpenCopy {
  /** Breaks it off. It leaves the others soon after. */
  cut(): void;
}

/** An engine that stops ends them when all clients have gone. */
export class Copies {
  readonly #open = new Set<OpenCopy>();
  /** Set only while a stop waits. */
  #none: PromiseWithResolvers<void> | undefined;

  join(copy: OpenCopy): void {
    this.#open.add(copy);
  }

  leave(copy: OpenCopy): void {
    this.#open.delete(copy);
    if (this.#open.size === 0) this.#none?.resolve();
  }

  /** Cuts all copies. Settles when they have ended. No other may begin. */
  async end(): Promise<void> {
    if (this.#open.size === 0) return;
    this.#none = Promise.withResolvers();
    for (const copy of this.#open) copy.cut();
    await this.#none.promise;
  }
}

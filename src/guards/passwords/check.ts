/** One check of a password, and all requests that wait for what comes of it. */

import type { Waiting } from "./turns.ts";

/** What came of a check. `busy`: too many wait already. `left`: whoever asked waits no more. An error: it failed. */
export type Outcome = "right" | "wrong" | "busy" | "left" | Error;

export interface CheckOptions {
  /** Does the check. Never rejects. */
  readonly work: () => Promise<Outcome>;
  /** The last request that waited has left. */
  readonly abandoned: () => void;
  /** It will not be done. */
  readonly displaced: () => void;
}

export class Check implements Waiting {
  readonly client: string;
  readonly #options: CheckOptions;
  readonly #outcome = Promise.withResolvers<Outcome>();
  #waiting = 0;

  constructor(client: string, options: CheckOptions) {
    this.client = client;
    this.#options = options;
  }

  async run(): Promise<void> {
    this.#outcome.resolve(await this.#options.work());
  }

  giveWay(): void {
    this.#options.displaced();
    this.#outcome.resolve("busy");
  }

  /** What comes of it, for one more request, or `left` as soon as the signal fires. */
  async outcomeFor(signal: AbortSignal): Promise<Outcome> {
    if (signal.aborted) return this.#leave();
    this.#waiting++;
    const { promise: left, resolve: leave } = Promise.withResolvers<"left">();
    const end = () => leave("left");
    signal.addEventListener("abort", end, { once: true });
    const outcome = await Promise.race([this.#outcome.promise, left]);
    signal.removeEventListener("abort", end);
    this.#waiting--;
    return outcome === "left" ? this.#leave() : outcome;
  }

  #leave(): "left" {
    if (this.#waiting === 0) this.#options.abandoned();
    return "left";
  }
}

/** A backend whose answers wait for a test. */

import { HttpBackend } from "./http_backend.ts";

/** A backend that answers when a test says so. Records requests, and how many there were at once. */
export class GatedBackend implements AsyncDisposable {
  readonly targets: string[] = [];
  most = 0;
  readonly #gates: (() => void)[] = [];
  #inside = 0;
  readonly #backend = new HttpBackend(async (request) => {
    this.targets.push(request.url.slice(request.url.indexOf("/", 7)));
    this.most = Math.max(this.most, ++this.#inside);
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    this.#inside--;
    return new Response("done");
  });

  get url(): string {
    return this.#backend.url;
  }

  /** Lets the longest waiting request be answered. */
  release(): void {
    this.#gates.shift()?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const gate of this.#gates.splice(0)) gate();
    await this.#backend[Symbol.asyncDispose]();
  }
}

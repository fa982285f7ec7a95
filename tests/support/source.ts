/** What a source of backends tells, for tests. */

import type { BackendSource, FoundBackend, SourceReport } from "../../src/sources/source.ts";
import { messageOf } from "../../src/errors.ts";
import { waitFor } from "./wait.ts";

/** Runs a source and records what it tells: `["http://a"]`, or `failed: …`. Dispose of it to stop the source. */
export class Told implements SourceReport, AsyncDisposable {
  readonly lists: string[][] = [];
  readonly failures: string[] = [];
  readonly all: (string[] | string)[] = [];
  last: readonly FoundBackend[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(source: BackendSource) {
    this.#running = source.run(this, this.#stop.signal);
  }

  found(backends: readonly FoundBackend[]): void {
    this.last = backends;
    const urls = backends.map(({ spec: { url } }) => url);
    this.lists.push(urls);
    this.all.push(urls);
  }

  failed(error: string): void {
    this.failures.push(error);
    this.all.push(`failed: ${error}`);
  }

  /** Waits until the last word is this list. */
  async finds(...urls: readonly string[]): Promise<void> {
    await this.#waitFor((last) => JSON.stringify(last) === JSON.stringify(urls), `the list ${JSON.stringify(urls)}`);
  }

  /** Waits until the last word is a failure with this text, and returns it. */
  async fails(text: string | RegExp = ""): Promise<string> {
    const isMeant = (said: string) => typeof text === "string" ? said.includes(text) : text.test(said);
    const failed = (last: unknown) => typeof last === "string" && isMeant(last.replace(/^failed: /, ""));
    await this.#waitFor(failed, `a failure with ${text}`);
    return this.failures.at(-1) ?? "";
  }

  /** Waits until so many words are told, and returns the last of them. */
  async word(count: number): Promise<string[] | string> {
    await waitFor(() => this.all.length >= count, {
      what: `word ${count} of ${JSON.stringify(this.all)}`,
      timeoutMs: 20_000,
    });
    return this.all[count - 1] ?? [];
  }

  async #waitFor(condition: (last: string[] | string | undefined) => boolean, what: string): Promise<void> {
    try {
      await waitFor(() => condition(this.all.at(-1)), { what, timeoutMs: 60_000 });
    } catch (error) {
      throw new Error(`${messageOf(error)}; the last word was ${JSON.stringify(this.all.at(-1))}`);
    }
  }

  /** Settles when nothing of the source runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

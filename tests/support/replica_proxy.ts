/** Whole roundhouses that share a Redis: their admin APIs, and requests to them all the time. */

import { assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { TemporaryDirectory } from "./certificates.ts";
import { TestProxy } from "./proxy.ts";
import { waitFor } from "./wait.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** An answer of the admin API. */
export interface AdminAnswer {
  readonly status: number;
  readonly body: Json;
}

/** A replica that can be started again with other settings and the same folder for state. */
export class ReplicaProxy implements AsyncDisposable {
  readonly #folder = new TemporaryDirectory();
  readonly #settings: ConfigFile;
  #proxy: TestProxy | undefined;

  /** Starts one that checks nothing, unless the settings say otherwise. */
  static async start(redis: string, settings: ConfigFile): Promise<ReplicaProxy> {
    const replica = new ReplicaProxy({ cluster: { redis }, ...settings });
    await replica.restart();
    return replica;
  }

  private constructor(settings: ConfigFile) {
    this.#settings = settings;
  }

  /** Changes the file. */
  configure(settings: ConfigFile): void {
    Object.assign(this.#settings, settings);
  }

  /** Ends it, if it runs, and starts it again. */
  async restart(): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
    this.#proxy = await TestProxy.start(this.#settings, { stateDirectory: this.#folder.path });
  }

  get proxy(): TestProxy {
    if (this.#proxy === undefined) throw new Error("the replica does not run");
    return this.#proxy;
  }

  async call(method: string, path: string, body?: unknown): Promise<AdminAnswer> {
    const init = body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`${this.proxy.adminUrl}${path}`, { method, ...init });
    return { status: response.status, body: await response.json() };
  }

  async get(path: string): Promise<Json> {
    const { status, body } = await this.call("GET", path);
    assertEquals(status, 200, JSON.stringify(body));
    return body;
  }

  /** Makes a change. On a busy machine, the store may count as away for a moment. */
  async change(method: string, path: string, body?: unknown): Promise<AdminAnswer> {
    let answer = await this.call(method, path, body);
    await waitFor(async () => {
      if (answer.status === 503) answer = await this.call(method, path, body);
      return answer.status !== 503;
    }, { what: "the store to take a change" });
    return answer;
  }

  /** Changes a backend; the answer must be 200. */
  async patch(url: string, changes: Readonly<Record<string, unknown>>): Promise<void> {
    const { status, body } = await this.change("PATCH", "/backends", { url, ...changes });
    assertEquals(status, 200, JSON.stringify(body));
  }

  /** Each backend of the pool `default` as `URL weight state`. */
  async list(): Promise<string[]> {
    const backends: Json[] = await this.get("/backends");
    return backends.map(({ url, weight, state }) => `${url} ${weight} ${state}`).sort();
  }

  /** Waits for this list; returns how long that took. */
  async waitForList(list: readonly string[]): Promise<number> {
    const begin = performance.now();
    const wanted = [...list].sort().join(", ");
    let last = "";
    await waitFor(async () => (last = (await this.list()).join(", ")) === wanted, { what: wanted }).catch((error) => {
      throw new Error(`${error.message}; the last was ${last}`);
    });
    return performance.now() - begin;
  }

  /** Waits until it says that the store is up, or away. */
  async waitForStore(up: boolean): Promise<void> {
    const what = `the store to be ${up ? "back" : "away"}`;
    await waitFor(async () => (await this.get("/status")).cluster.up === up, { what });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Requests one after the other to several proxies, until it is stopped. */
export class SteadyLoad implements AsyncDisposable {
  readonly #urls: readonly string[];
  readonly #running: Promise<void>[];
  /** What went wrong. */
  readonly failures: string[] = [];
  requests = 0;
  longestMs = 0;
  #stopped = false;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
    this.#running = urls.map((url) => this.#run(url));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  /** Waits until each of the proxies has answered some more. */
  async goesOn(): Promise<void> {
    const enough = this.requests + 20 * this.#urls.length;
    await waitFor(() => this.requests >= enough, { what: "more requests" });
  }

  async #run(url: string): Promise<void> {
    while (!this.#stopped) {
      const begin = performance.now();
      try {
        const response = await fetch(url);
        await response.text();
        if (response.status !== 200) this.failures.push(`status ${response.status}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      this.requests++;
      this.longestMs = Math.max(this.longestMs, performance.now() - begin);
    }
  }
}

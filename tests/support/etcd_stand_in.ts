/** A stand-in for etcd with its gRPC gateway, which misbehaves when told so. */

import { waitFor } from "./wait.ts";

/** A request as it was asked. */
export interface EtcdRequest {
  readonly path: string;
  // deno-lint-ignore no-explicit-any -- tests look into whatever was sent
  readonly body: any;
  readonly token: string | null;
}

interface Key {
  readonly value: string;
  readonly revision: number;
}

/** What a watch tells that begins with an earlier revision. */
interface Happened {
  readonly key: string;
  readonly event: object;
  readonly revision: number;
}

interface Watch {
  readonly key: string;
  readonly end: string;
  readonly stream: ReadableStreamDefaultController<Uint8Array>;
}

export class EtcdStandIn implements AsyncDisposable {
  readonly requests: EtcdRequest[] = [];
  revision = 1;
  /** The oldest revision that a watch may begin with. */
  compacted = 0;
  /** Requests get no answer. */
  isFrozen = false;
  /** Watches get no events. */
  isSilent = false;
  /** What a request is answered with instead of the truth. */
  lie: (request: EtcdRequest) => Response | undefined = () => undefined;
  /** Requests without such a token are refused. */
  login: { readonly user: string; readonly password: string; token: string } | null = null;
  readonly #keys = new Map<string, Key>();
  readonly #history: Happened[] = [];
  readonly #watches = new Set<Watch>();
  readonly #thawing: (() => void)[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(port = 0) {
    this.#server = Deno.serve({ port, hostname: "127.0.0.1", onListen() {} }, (request) => this.#answer(request));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  get watches(): number {
    return this.#watches.size;
  }

  /** How often a path has been asked. */
  asked(path: string): number {
    return this.requests.filter((request) => request.path === path).length;
  }

  put(key: string, value: string): void {
    this.#keys.set(key, { value, revision: ++this.revision });
    this.#happened(key, { kv: { ...keyValue(key, { value, revision: this.revision }) } });
  }

  delete(key: string): void {
    this.#keys.delete(key);
    this.#happened(key, { type: "DELETE", kv: { key: btoa(key), mod_revision: String(++this.revision) } });
  }

  /** Sends a line to every watch. */
  send(line: unknown): void {
    for (const { stream } of this.#watches) stream.enqueue(bytesOf(line));
  }

  /** Ends all watches. */
  dropWatches(): void {
    for (const { stream } of this.#watches) stream.close();
    this.#watches.clear();
  }

  /** Loses everything, as a server with a new data folder does. */
  forget(): void {
    this.#keys.clear();
    this.#history.length = 0;
    this.revision = 1;
  }

  thaw(): void {
    this.isFrozen = false;
    for (const thaw of this.#thawing.splice(0)) thaw();
  }

  /** Waits until a watch stands. */
  async isWatched(): Promise<void> {
    await waitFor(() => this.#watches.size > 0, { what: "a watch", timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    this.dropWatches();
    await this.#server.shutdown();
  }

  async #answer(raw: Request): Promise<Response> {
    const { pathname } = new URL(raw.url);
    const request = { path: pathname, body: await raw.json(), token: raw.headers.get("authorization") };
    this.requests.push(request);
    if (this.isFrozen) await new Promise<void>((resolve) => this.#thawing.push(resolve));
    const lie = this.lie(request);
    if (lie !== undefined) return lie;
    if (pathname === "/v3/auth/authenticate") return this.#authenticate(request.body);
    if (this.login !== null && request.token !== this.login.token) {
      return refusal("etcdserver: invalid auth token", 401);
    }
    return pathname === "/v3/watch" ? this.#watch(request.body.create_request) : this.#range(request.body);
  }

  #authenticate({ name, password }: { readonly name: string; readonly password: string }): Response {
    if (this.login?.user === name && this.login.password === password) {
      return Response.json({ token: this.login.token });
    }
    return refusal("etcdserver: authentication failed, invalid user ID or password", 400);
  }

  #range({ key, range_end, limit, sort_target }: Record<string, string>): Response {
    const [from, end] = [atob(key ?? ""), atob(range_end ?? "")];
    const below = [...this.#keys].filter(([key]) => key >= from && key < end);
    below.sort(([one, { revision }], [other, { revision: later }]) =>
      sort_target === "MOD" ? later - revision : one < other ? -1 : 1
    );
    const kvs = below.slice(0, Number(limit)).map(([key, held]) => keyValue(key, held));
    const count = below.length === 0 ? {} : { kvs, count: String(below.length) };
    return Response.json({ header: this.#header(), ...count });
  }

  #watch({ key, range_end, start_revision }: Record<string, string>): Response {
    const from = Number(start_revision);
    if (from <= this.compacted) {
      const created = { result: { header: this.#header(), created: true } };
      const cancelled = { result: { header: {}, canceled: true, compact_revision: String(this.compacted) } };
      return new Response(new Blob([bytesOf(created), bytesOf(cancelled)]).stream());
    }
    let watch: Watch | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        watch = { key: atob(key ?? ""), end: atob(range_end ?? ""), stream };
        stream.enqueue(bytesOf({ result: { header: this.#header(), created: true } }));
        for (const { key, event, revision } of this.#history) {
          if (revision < from || key < watch.key || key >= watch.end || this.isSilent) continue;
          stream.enqueue(bytesOf({ result: { header: this.#header(), events: [event] } }));
        }
        this.#watches.add(watch);
      },
      cancel: () => {
        if (watch !== undefined) this.#watches.delete(watch);
      },
    });
    return new Response(body);
  }

  #happened(key: string, event: object): void {
    this.#history.push({ key, event, revision: this.revision });
    if (this.isSilent) return;
    for (const { stream, ...watch } of this.#watches) {
      if (key >= watch.key && key < watch.end) {
        stream.enqueue(bytesOf({ result: { header: this.#header(), events: [event] } }));
      }
    }
  }

  #header() {
    return { cluster_id: "1", member_id: "2", revision: String(this.revision), raft_term: "2" };
  }
}

function keyValue(key: string, { value, revision }: Key) {
  return {
    key: btoa(key),
    mod_revision: String(revision),
    version: "1",
    ...value === "" ? {} : { value: btoa(value) },
  };
}

function refusal(message: string, status: number): Response {
  return Response.json({ error: message, message, code: 16 }, { status });
}

function bytesOf(line: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${typeof line === "string" ? line : JSON.stringify(line)}\n`);
}

/**
 * A stand-in for the API server of Kubernetes: EndpointSlices of `discovery.k8s.io/v1`, as lists with pages and as
 * watches with bookmarks. It can misbehave in the ways that such servers and the networks before them do.
 */

import type { Pair } from "./certificates.ts";
import { OWN_HOST } from "./own_host.ts";

type Json = Record<string, unknown>;

/** An endpoint as a test says it. */
export interface EndpointOptions {
  readonly address: string;
  /** Default: true, or false if it terminates. */
  readonly ready?: boolean | null;
  readonly serving?: boolean | null;
  readonly terminating?: boolean | null;
}

export interface SliceOptions {
  readonly family?: string;
  readonly service?: string;
  readonly ports?: readonly Json[] | null;
}

/** The JSON of a slice, without its version. */
export function sliceJson(
  name: string,
  endpoints: readonly (string | EndpointOptions)[] | null,
  { family = "IPv4", service = "web", ports = [{ name: "", port: 8080, protocol: "TCP" }] }: SliceOptions = {},
): Json {
  return {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": service } },
    addressType: family,
    endpoints: endpoints?.map((endpoint) => {
      const { address, terminating = false, ready = !terminating, serving = ready } = typeof endpoint === "string"
        ? { address: endpoint }
        : endpoint;
      return { addresses: [address], conditions: { ready, serving, terminating }, nodeName: "node-1" };
    }) ?? null,
    ports,
  };
}

interface Happened {
  readonly version: number;
  readonly line: string;
}

/** A watch that is open. */
interface Watch {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** A request that it got. */
export interface Asked {
  readonly kind: "list" | "watch";
  readonly query: URLSearchParams;
  readonly authorization: string | null;
}

const encoder = new TextEncoder();

export class KubernetesApiStandIn implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[] = [];
  /** The only token that is let in; `null`: everyone is. */
  token: string | null = null;
  /** How late every response is. */
  delayMs = 0;
  /** Whether each event is sent twice. */
  repeats = false;
  /** How many slices a page has at most, whatever is asked for. */
  pageSize = 500;
  /** Answers in place of the server. `undefined`: as usual. */
  answer: ((asked: Asked) => Response | Promise<Response> | undefined) | undefined;

  readonly #slices = new Map<string, Json>();
  readonly #history: Happened[] = [];
  readonly #watches = new Set<Watch>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();
  readonly #service: string;
  /** Settles when it goes on; `undefined`: it is not frozen. */
  #frozen: PromiseWithResolvers<void> | undefined;
  #version = 1000;
  /** Events up to this version are forgotten. */
  #compacted = 1000;

  constructor({ pair, port = 0, service = "web" }: { pair?: Pair; port?: number; service?: string } = {}) {
    this.#service = service;
    const hostname = pair === undefined ? OWN_HOST : "127.0.0.1"; // certificates are for that one
    this.#server = Deno.serve({
      ...pair,
      hostname,
      port,
      signal: this.#abort.signal,
      onListen: () => {},
      handler: (request) => this.#handle(request),
    });
    this.port = this.#server.addr.port;
    this.url = `${pair === undefined ? "http" : "https"}://${hostname}:${this.port}`;
  }

  get version(): string {
    return String(this.#version);
  }

  /** How many watches are open. */
  get watches(): number {
    return this.#watches.size;
  }

  /** How many requests of a kind it got. */
  count(kind: Asked["kind"]): number {
    return this.asked.filter((asked) => asked.kind === kind).length;
  }

  /** Adds or changes slices, as one moment. `reorder`: the events are sent the other way round. */
  put(slices: readonly Json[], { reorder = false } = {}): void {
    const happened = slices.map((slice) => {
      const name = nameOf(slice);
      const type = this.#slices.has(name) ? "MODIFIED" : "ADDED";
      const stamped = this.#stamp(slice);
      this.#slices.set(name, stamped);
      return this.#event(type, stamped);
    });
    this.#tell(reorder ? happened.reverse() : happened);
  }

  remove(...names: readonly string[]): void {
    this.#tell(names.flatMap((name) => {
      const slice = this.#slices.get(name);
      return this.#slices.delete(name) && slice !== undefined ? [this.#event("DELETED", this.#stamp(slice))] : [];
    }));
  }

  /** Changes slices without telling the open watches, and forgets that it did. */
  putSilently(...slices: readonly Json[]): void {
    for (const slice of slices) this.#slices.set(nameOf(slice), this.#stamp(slice));
  }

  /** Other objects have changed: the version goes on. */
  bookmark(): void {
    this.#version++;
    const metadata = { resourceVersion: this.version, creationTimestamp: null };
    const object = {
      kind: "EndpointSlice",
      apiVersion: "discovery.k8s.io/v1",
      metadata,
      addressType: "",
      endpoints: null,
    };
    this.send(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
  }

  /** Forgets all events up to now: whoever asks for an older version gets 410. */
  compact(): void {
    this.#version++;
    this.#compacted = this.#version;
    this.#history.length = 0;
  }

  /** Sends a text to all open watches. */
  send(text: string): void {
    for (const { controller } of this.#watches) controller.enqueue(encoder.encode(text));
  }

  /** Ends all open watches. */
  endWatches(): void {
    for (const watch of [...this.#watches]) {
      this.#watches.delete(watch);
      clearTimeout(watch.timer);
      watch.controller.close();
    }
  }

  /** From now on nothing is answered, and nothing happens in open watches. New connections are still made. */
  freeze(): void {
    this.#frozen = Promise.withResolvers();
  }

  thaw(): void {
    this.#frozen?.resolve();
    this.#frozen = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    this.endWatches();
    this.#abort.abort();
    await this.#server.finished;
  }

  async #handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const query = url.searchParams;
    const kind = query.get("watch") === "true" ? "watch" : "list";
    const asked: Asked = { kind, query, authorization: request.headers.get("authorization") };
    this.asked.push(asked);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    await this.#frozen?.promise;
    if (this.token !== null && asked.authorization !== `Bearer ${this.token}`) return status(401, "Unauthorized");
    if (url.pathname !== "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices") return status(404, "not found");
    if (query.get("labelSelector") !== `kubernetes.io/service-name=${this.#service}`) {
      return status(400, "bad selector");
    }
    return await this.answer?.(asked) ?? (kind === "list" ? this.#list(query) : this.#watch(query));
  }

  #list(query: URLSearchParams): Response {
    const [version = this.version, start = "0"] = query.get("continue")?.split("/") ?? [];
    if (Number(version) < this.#compacted) return status(410, "The provided continue parameter is too old");
    const size = Math.min(Number(query.get("limit") ?? Infinity), this.pageSize);
    const all = [...this.#slices.values()];
    const end = Number(start) + size;
    // Items of a real list have neither kind nor apiVersion.
    const items = all.slice(Number(start), end).map(({ kind: _, apiVersion: __, ...item }) => item);
    const metadata = { resourceVersion: version, ...end < all.length ? { continue: `${version}/${end}` } : {} };
    return Response.json({ kind: "EndpointSliceList", apiVersion: "discovery.k8s.io/v1", metadata, items });
  }

  #watch(query: URLSearchParams): Response {
    const from = Number(query.get("resourceVersion"));
    if (from < this.#compacted) {
      const object = {
        kind: "Status",
        status: "Failure",
        reason: "Expired",
        code: 410,
        message: "too old resource version",
      };
      return new Response(`${JSON.stringify({ type: "ERROR", object })}\n`);
    }
    let watch: Watch | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const end = () => {
          if (this.#frozen !== undefined || watch === undefined || !this.#watches.delete(watch)) return;
          controller.close();
        };
        const opened = { controller, timer: setTimeout(end, Number(query.get("timeoutSeconds")) * 1000) };
        watch = opened;
        this.#watches.add(opened);
        const missed = this.#history.filter(({ version }) => version > from).map(({ line }) => line).join("");
        if (missed !== "") controller.enqueue(encoder.encode(missed));
      },
      cancel: () => {
        if (watch === undefined) return;
        clearTimeout(watch.timer);
        this.#watches.delete(watch);
      },
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  #stamp(slice: Json): Json {
    const metadata = { ...slice.metadata as Json, resourceVersion: String(++this.#version) };
    return { ...slice, metadata };
  }

  #event(type: string, object: Json): Happened {
    const line = `${JSON.stringify({ type, object })}\n`;
    return { version: this.#version, line: this.repeats ? line + line : line };
  }

  #tell(happened: readonly Happened[]): void {
    this.#history.push(...happened);
    if (this.#frozen === undefined) this.send(happened.map(({ line }) => line).join(""));
  }
}

function nameOf(slice: Json): string {
  return String((slice.metadata as Json).name);
}

/** What the API server answers in place of what was asked for. */
export function status(code: number, message: string): Response {
  return Response.json({ kind: "Status", apiVersion: "v1", status: "Failure", message, code }, { status: code });
}

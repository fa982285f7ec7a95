/** A stand-in for Docker's API on a socket, which misbehaves when told so. */

import { waitFor } from "./wait.ts";

/** What a test says of a container. */
export interface ContainerOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Addresses by network. */
  readonly networks?: Readonly<Record<string, string>>;
  /** As Docker says it to people: `Up 5 minutes (healthy)`. */
  readonly status?: string;
  readonly state?: string;
}

const LABELS = { "roundhouse.pool": "api" };

export class DockerStandIn implements AsyncDisposable {
  /** Paths of requests, in order. */
  readonly asked: string[] = [];
  /** Requests get no answer. */
  isFrozen = false;
  /** What a request is answered with instead of the truth. */
  lie: (path: string) => Response | undefined = () => undefined;
  /** Where it is, as `DOCKER_HOST` says it. */
  readonly host: string;
  readonly #folder: string;
  readonly #containers = new Map<string, Required<ContainerOptions>>();
  readonly #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #thawing: (() => void)[] = [];
  readonly #server: Deno.HttpServer;

  constructor(transport: "unix" | "tcp" = "unix") {
    const answer = (request: Request) => this.#answer(request);
    this.#folder = Deno.makeTempDirSync();
    if (transport === "unix") {
      this.#server = Deno.serve({ path: `${this.#folder}/docker.sock`, onListen() {} }, answer);
      this.host = `unix://${this.#folder}/docker.sock`;
    } else {
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);
      this.#server = server;
      this.host = `tcp://127.0.0.1:${server.addr.port}`;
    }
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** How often containers have been listed. */
  get lists(): number {
    return this.asked.filter((path) => path === "/containers/json").length;
  }

  /** Sets a container, without an event. */
  set(name: string, options: ContainerOptions = {}): void {
    const { labels = LABELS, networks = {}, status = "Up 5 minutes", state = "running" } = options;
    this.#containers.set(name, { labels, networks, status, state });
  }

  start(name: string, options: ContainerOptions = {}): void {
    this.set(name, options);
    this.send(eventOf("container", "start", this.#containers.get(name)?.labels ?? {}));
  }

  /** Removes a container. */
  stop(name: string): void {
    const { labels = {} } = this.#containers.get(name) ?? {};
    this.#containers.delete(name);
    this.send(eventOf("container", "die", labels));
  }

  /** Sends a line to every stream of events. */
  send(line: unknown): void {
    const text = typeof line === "string" ? line : JSON.stringify(line);
    for (const stream of this.#streams) stream.enqueue(new TextEncoder().encode(`${text}\n`));
  }

  /** Ends all streams. */
  dropStreams(): void {
    for (const stream of this.#streams) stream.close();
    this.#streams.clear();
  }

  thaw(): void {
    this.isFrozen = false;
    for (const thaw of this.#thawing.splice(0)) thaw();
  }

  /** Waits until a stream of events is open. */
  async isFollowed(): Promise<void> {
    await waitFor(() => this.#streams.size > 0, { what: "a stream of events", timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    this.dropStreams();
    await this.#server.shutdown();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #answer({ url }: Request): Promise<Response> {
    const path = url.slice(url.indexOf("/", "http+unix://".length)).replace(
      /^[^?]*(\/(?:containers\/json|events)).*$/,
      "$1",
    );
    this.asked.push(path);
    if (this.isFrozen) await new Promise<void>((resolve) => this.#thawing.push(resolve));
    const lie = this.lie(path);
    if (lie !== undefined) return lie;
    const filters = JSON.parse(decodeURIComponent(/filters=([^&]*)/.exec(url)?.[1] ?? "%7B%7D"));
    return path === "/events" ? this.#events() : this.#list(filters);
  }

  #list({ label, status }: { readonly label: readonly string[]; readonly status: readonly string[] }): Response {
    const wanted = [...this.#containers].filter(([, { labels, state }]) =>
      label.every((pair) => Object.entries(labels).some(([name, value]) => `${name}=${value}` === pair)) &&
      status.includes(state)
    );
    return Response.json(wanted.map(([name, container]) => entryOf(name, container)));
  }

  #events(): Response {
    let own: ReadableStreamDefaultController<Uint8Array> | undefined;
    return new Response(
      new ReadableStream<Uint8Array>({
        start: (stream) => {
          own = stream;
          this.#streams.add(stream);
        },
        cancel: () => {
          if (own !== undefined) this.#streams.delete(own);
        },
      }),
    );
  }
}

/** An entry of the list, as Docker writes it. */
export function entryOf(
  name: string,
  { labels = LABELS, networks = {}, status = "", state = "running" }: ContainerOptions,
) {
  return {
    Id: "8dfafdbc3a40".padEnd(64, "0"),
    Names: [`/${name}`],
    Image: "api:1",
    State: state,
    Status: status,
    Labels: labels,
    HostConfig: { NetworkMode: Object.keys(networks)[0] ?? "host" },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(networks).map(([name, IPAddress]) => [name, { IPAddress, GlobalIPv6Address: "", Gateway: "" }]),
      ),
    },
  };
}

/** An event, as Docker writes it. */
export function eventOf(Type: string, Action: string, Attributes: Readonly<Record<string, string>>) {
  return {
    status: Action,
    Type,
    Action,
    Actor: { ID: "8dfafdbc3a40", Attributes },
    scope: "local",
    time: 1,
    timeNano: 1,
  };
}

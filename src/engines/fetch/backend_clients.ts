/** The HTTP clients, which hold the connections to each backend. */

import { wayTo } from "../../net/endpoint.ts";
import type { Backend } from "../../pool/backend.ts";
import type { ServerPools } from "../../pool/server_pools.ts";
import { clientTls } from "../../tls/backend_files.ts";

/** `allowHost`: we set `Host`. `http2: false`: over HTTP/2, `:authority` would differ from `Host`. */
const OPTIONS = { allowHost: true, http2: false } as const;

type ClientOptions = Parameters<typeof Deno.createHttpClient>[0];

interface Clients {
  /** With what the backend's files contain, which are read once. */
  readonly options: ClientOptions;
  readonly pooled: Deno.HttpClient;
  /** Made at first use. */
  fresh: Deno.HttpClient | undefined;
}

/**
 * Owns the HTTP clients of one isolate. They are made at a backend's first request, or with the backend if it has
 * files of certificates. They are closed when the backend leaves its pool.
 */
export class BackendClients {
  readonly #clients = new Map<Backend, Clients>();
  readonly #unsubscribe: () => void;

  constructor(pools: ServerPools) {
    this.#unsubscribe = pools.subscribe({
      poolChanged: ({ type, backend }) => {
        if (type === "removed") this.#close(backend);
        else if (type === "added" && hasFiles(backend)) this.#of(backend);
      },
    });
    for (const { backends } of pools) {
      for (const backend of backends) if (hasFiles(backend)) this.#of(backend);
    }
  }

  /** The HTTP client that keeps idle connections and reuses them. */
  pooled(backend: Backend): Deno.HttpClient {
    return this.#of(backend).pooled;
  }

  /**
   * The HTTP client that makes a new connection for each request. If a reused connection is dead, `fetch` itself
   * resends a request that has no streamed body. An unsafe request could then be processed twice.
   */
  fresh(backend: Backend): Deno.HttpClient {
    const clients = this.#of(backend);
    clients.fresh ??= Deno.createHttpClient({ ...clients.options, poolMaxIdlePerHost: 0 });
    return clients.fresh;
  }

  close(): void {
    this.#unsubscribe();
    for (const backend of [...this.#clients.keys()]) this.#close(backend);
  }

  #of(backend: Backend): Clients {
    let clients = this.#clients.get(backend);
    if (clients === undefined) {
      const options = { ...OPTIONS, ...clientTls(backend.tls), ...wayTo(backend.endpoint), ...keepsNone(backend) };
      clients = { options, pooled: Deno.createHttpClient(options), fresh: undefined };
      this.#clients.set(backend, clients);
    }
    return clients;
  }

  /** Closes the idle connections. Requests in flight keep theirs. */
  #close(backend: Backend): void {
    const clients = this.#clients.get(backend);
    this.#clients.delete(backend);
    clients?.pooled.close();
    clients?.fresh?.close();
  }
}

function hasFiles({ tls }: Backend): boolean {
  return tls.ca !== null || tls.cert !== null;
}

/**
 * Connections are kept for each authority. Those to a unix socket, which only WebSockets make, have the authorities that
 * clients choose, so that each could leave one more open.
 */
function keepsNone({ endpoint }: Backend): Pick<Deno.CreateHttpClientOptions, "poolMaxIdlePerHost"> {
  return "path" in endpoint ? { poolMaxIdlePerHost: 0 } : {};
}

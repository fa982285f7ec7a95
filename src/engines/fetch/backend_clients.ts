/** The HTTP clients that hold the connections to each backend. */

import type { Backend } from "../../pool/backend.ts";
import type { ServerPool } from "../../pool/server_pool.ts";
import { trustFor } from "../../tls/authorities.ts";

/** Why each option: `Host` is the client's own to choose; over HTTP/2 `:authority` would differ from it. */
const OPTIONS = { allowHost: true, http2: false } as const;

interface Clients {
  /** Whom they trust: the backend's file is read once. */
  readonly trust: ReturnType<typeof trustFor>;
  readonly pooled: Deno.HttpClient;
  /** Made at first use. */
  fresh: Deno.HttpClient | undefined;
}

/**
 * Owns the clients of one isolate: made with a backend's first request, or with the backend if it has a file of
 * authorities, closed when it leaves its pool.
 */
export class BackendClients {
  readonly #clients = new Map<Backend, Clients>();
  readonly #unsubscribes: readonly (() => void)[];

  constructor(pools: readonly ServerPool[]) {
    this.#unsubscribes = pools.map((pool) =>
      pool.subscribe(({ type, backend }) => {
        if (type === "removed") this.#close(backend);
        else if (type === "added" && backend.tls.ca !== null) this.#of(backend);
      })
    );
    for (const backend of pools.flatMap(({ backends }) => backends)) {
      if (backend.tls.ca !== null) this.#of(backend);
    }
  }

  /** Keeps idle connections and reuses them. */
  pooled(backend: Backend): Deno.HttpClient {
    return this.#of(backend).pooled;
  }

  /**
   * A new connection for each request. `fetch` resends a request without a streamed body by itself when a reused
   * connection turns out dead, which would do an unsafe one twice.
   */
  fresh(backend: Backend): Deno.HttpClient {
    const clients = this.#of(backend);
    clients.fresh ??= Deno.createHttpClient({ ...OPTIONS, ...clients.trust, poolMaxIdlePerHost: 0 });
    return clients.fresh;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    for (const backend of [...this.#clients.keys()]) this.#close(backend);
  }

  #of(backend: Backend): Clients {
    let clients = this.#clients.get(backend);
    if (clients === undefined) {
      const trust = trustFor(backend.tls);
      clients = { trust, pooled: Deno.createHttpClient({ ...OPTIONS, ...trust }), fresh: undefined };
      this.#clients.set(backend, clients);
    }
    return clients;
  }

  /** Requests in flight keep their connections; idle ones are closed. */
  #close(backend: Backend): void {
    const clients = this.#clients.get(backend);
    this.#clients.delete(backend);
    clients?.pooled.close();
    clients?.fresh?.close();
  }
}

/** A normal backend for tests: a real `Deno.serve` that counts its requests. */

import { OWN_HOST } from "./own_host.ts";

export type Handler = (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => Response | Promise<Response>;

/** A listening backend. Dispose of it to cut everything. */
export class HttpBackend implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Requests that reached it, health checks included. */
  requests = 0;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();

  constructor(handler: Handler = () => new Response("ok"), port = 0, hostname = OWN_HOST) {
    this.#server = Deno.serve({
      hostname,
      port,
      signal: this.#abort.signal,
      onListen: () => {},
      onError: () => new Response("test handler failed", { status: 500 }),
      handler: (request, info) => {
        this.requests++;
        return handler(request, info);
      },
    });
    this.port = this.#server.addr.port;
    this.url = `http://${hostname}:${this.port}`;
  }

  /** One that answers with its own name. */
  static named(name: string, port = 0): HttpBackend {
    return new HttpBackend(() => new Response(name), port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#server.finished;
  }
}

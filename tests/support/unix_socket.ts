/** Unix sockets in tests: where they are, backends on them, and clients that come through them. */

import { RawClient } from "./raw_client.ts";

/** A directory for sockets. Its path is short: a socket's path has room for 107 bytes. */
export class SocketDirectory implements Disposable {
  readonly path = Deno.makeTempDirSync({ dir: "/tmp", prefix: "rh-" });

  /** The path of a socket in it. */
  at(name: string): string {
    return `${this.path}/${name}.sock`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

export type SocketHandler = (request: Request) => Response | Promise<Response>;

/** A normal backend on a socket. Dispose of it to cut everything. */
export class SocketBackend implements AsyncDisposable {
  readonly url: string;
  /** Requests that reached it, health checks included, as their targets. */
  readonly targets: string[] = [];
  readonly hosts: (string | null)[] = [];
  readonly #server: Deno.HttpServer<Deno.UnixAddr>;
  readonly #abort = new AbortController();

  constructor(path: string, handler: SocketHandler = () => new Response("ok")) {
    this.url = `unix:${path}`;
    this.#server = Deno.serve({
      path,
      signal: this.#abort.signal,
      onListen: () => {},
      onError: () => new Response("test handler failed", { status: 500 }),
    }, (request) => {
      this.targets.push(request.url.replace(/^\S+?:\/\/[^/]*/, ""));
      this.hosts.push(request.headers.get("host"));
      return handler(request);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#server.finished;
  }
}

/** A raw client that comes through a socket. */
export async function connectTo(path: string): Promise<RawClient> {
  return new RawClient(await Deno.connect({ transport: "unix", path }));
}

/** Leaves a socket behind as a process does that was killed: a file that nobody listens on. */
export async function leaveStaleSocket(path: string): Promise<void> {
  const script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()";
  const { success } = await new Deno.Command("python3", { args: ["-c", script, path] }).output();
  if (!success) throw new Error("python3 could not make a socket");
}

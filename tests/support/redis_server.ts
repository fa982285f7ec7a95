/** A real Redis for tests, on a free port, which can be killed, frozen and started again. */

import { waitFor } from "./wait.ts";

/** A `redis-server` without persistence. It ends when it is disposed of. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #args: readonly string[];
  #process: Deno.ChildProcess | undefined;

  /** @param args further settings, such as `--requirepass secret` */
  static async start(...args: readonly string[]): Promise<RedisServer> {
    const server = new RedisServer(freePort(), args);
    await server.restart();
    return server;
  }

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again, empty, on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no", ...this.#args];
    this.#process = new Deno.Command("redis-server", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    await waitFor(() => this.#answers(), { timeoutMs: 20_000, what: "redis-server" });
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    process.kill("SIGKILL");
    await process.status;
  }

  /** It keeps its connections, but does nothing. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** It goes on, with the commands that have arrived meanwhile. */
  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Sends one command of words without spaces, and returns what has come back. */
  async ask(...words: readonly string[]): Promise<string> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
    const encoder = new TextEncoder();
    const command = [`*${words.length}`, ...words.flatMap((word) => [`$${encoder.encode(word).length}`, word])];
    await connection.write(encoder.encode(`${command.join("\r\n")}\r\n`));
    const buffer = new Uint8Array(65_536);
    const read = await connection.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, read ?? 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.ask("PING")).length > 0;
    } catch {
      return false;
    }
  }
}

/** A port that nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

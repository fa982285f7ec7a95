/** A real etcd, on free ports and in a folder of its own. */

import { hasCommand } from "./has_command.ts";
import { waitFor } from "./wait.ts";

/** Whether a real etcd is installed. */
export const HAS_ETCD = hasCommand("etcd");

/** Dispose of it to kill it. */
export class EtcdServer implements AsyncDisposable {
  readonly url: string;
  readonly #peer: string;
  #folder = Deno.makeTempDirSync({ prefix: "etcd" });
  #child: Deno.ChildProcess;
  #token: string | undefined;

  private constructor() {
    [this.url, this.#peer] = freeUrls();
    this.#child = this.#spawn();
  }

  static async start(): Promise<EtcdServer> {
    const server = new EtcdServer();
    await server.#isReady();
    return server;
  }

  async put(key: string, value: string, lease?: string): Promise<void> {
    await this.call("/v3/kv/put", { key: btoa(key), value: btoa(value), ...lease === undefined ? {} : { lease } });
  }

  async delete(key: string): Promise<void> {
    await this.call("/v3/kv/deleterange", { key: btoa(key) });
  }

  /** A lease of so many seconds; its id. */
  async grant(seconds: number): Promise<string> {
    return String((await this.call("/v3/lease/grant", { TTL: String(seconds) }))["ID"]);
  }

  /** Forgets all revisions but the present one. */
  async compact(): Promise<void> {
    const { header } = await this.call("/v3/kv/range", { key: btoa("/") }) as { header: { revision: string } };
    await this.call("/v3/kv/compaction", { revision: header.revision });
  }

  /** From now on, only this user may read the prefix, and only root may write. */
  async protect(user: string, password: string, prefix: string): Promise<void> {
    const permission = { permType: "READ", key: btoa(prefix), range_end: btoa(`${prefix.slice(0, -1)}0`) };
    await this.call("/v3/auth/user/add", { name: "root", password: "root" });
    await this.call("/v3/auth/role/add", { name: "root" });
    await this.call("/v3/auth/user/grant", { user: "root", role: "root" });
    await this.call("/v3/auth/user/add", { name: user, password });
    await this.call("/v3/auth/role/add", { name: "reader" });
    await this.call("/v3/auth/role/grant", { name: "reader", perm: permission });
    await this.call("/v3/auth/user/grant", { user, role: "reader" });
    await this.call("/v3/auth/enable", {});
    this.#token = String((await this.call("/v3/auth/authenticate", { name: "root", password: "root" }))["token"]);
  }

  async call(path: string, body: object): Promise<Record<string, unknown>> {
    const headers = this.#token === undefined ? {} : { authorization: this.#token };
    const response = await fetch(`${this.url}${path}`, { method: "POST", body: JSON.stringify(body), headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  /** Stands still, with its connections open. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  /** Kills it. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  /** Starts it again after a `kill`, with its data or without. */
  async restart({ empty }: { readonly empty: boolean }): Promise<void> {
    if (empty) {
      await Deno.remove(this.#folder, { recursive: true });
      this.#folder = Deno.makeTempDirSync({ prefix: "etcd" });
    }
    this.#child = this.#spawn();
    await this.#isReady();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
    await this.#child.status;
    await Deno.remove(this.#folder, { recursive: true });
  }

  #spawn(): Deno.ChildProcess {
    return new Deno.Command("etcd", {
      args: [
        ...["--data-dir", `${this.#folder}/data`, "--logger", "zap"],
        ...["--listen-client-urls", this.url, "--advertise-client-urls", this.url],
        ...["--listen-peer-urls", this.#peer, "--initial-advertise-peer-urls", this.#peer],
        ...["--initial-cluster", `default=${this.#peer}`],
      ],
      env: { ETCD_UNSUPPORTED_ARCH: Deno.build.arch === "aarch64" ? "arm64" : "" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  async #isReady(): Promise<void> {
    const asks = async () => {
      try {
        return (await (await fetch(`${this.url}/health`)).json()).health === "true";
      } catch {
        return false;
      }
    };
    await waitFor(asks, { what: "etcd", timeoutMs: 60_000 });
  }
}

/** Of two ports that were free a moment ago: the server has to keep its port when it starts again. */
function freeUrls(): [string, string] {
  const listeners = [Deno.listen({ port: 0, hostname: "127.0.0.1" }), Deno.listen({ port: 0, hostname: "127.0.0.1" })];
  const [client = 0, peer = 0] = listeners.map((listener) => {
    listener.close();
    return (listener.addr as Deno.NetAddr).port;
  });
  return [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
}

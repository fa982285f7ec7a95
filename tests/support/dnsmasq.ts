/** A real DNS server: Debian's dnsmasq, which reads names from a file. */

import { Buffer } from "node:buffer";
import { readMessage, writeQuestion } from "../../src/sources/dns/message.ts";
import { bindBoth } from "./dns_server.ts";
import { hasCommand } from "./has_command.ts";
import { waitFor } from "./wait.ts";

/** Whether tests that need it have to be skipped. */
export const NO_DNSMASQ = !hasCommand("dnsmasq");

/** A server for names below `test`. It may be killed, frozen and started again at the same port. */
export class Dnsmasq implements AsyncDisposable {
  readonly port: number;
  readonly #folder = Deno.makeTempDirSync();
  #options: readonly string[];
  #child: Deno.ChildProcess | undefined;

  private constructor(port: number, options: readonly string[]) {
    this.port = port;
    this.#options = options;
  }

  /**
   * Starts one at a free port.
   *
   * @param names addresses by name
   * @param options of the command line
   */
  static async start(names: Readonly<Record<string, readonly string[]>>, options: readonly string[] = []) {
    const [udp, tcp] = bindBoth();
    const { port } = tcp.addr as Deno.NetAddr;
    udp.close();
    tcp.close();
    const server = new Dnsmasq(port, options);
    server.#write(names);
    await server.restart();
    return server;
  }

  /** As the setting `server` names it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Has these names from now on. */
  set(names: Readonly<Record<string, readonly string[]>>): void {
    this.#write(names);
    this.signal("SIGHUP");
  }

  signal(name: Deno.Signal): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    try {
      child?.kill("SIGKILL");
    } catch {
      // it has ended by itself
    }
    await child?.status;
  }

  /** Starts it again, perhaps with other options; waits until it answers. */
  async restart(options = this.#options): Promise<void> {
    await this.kill();
    this.#options = options;
    // deno-fmt-ignore
    const args = [
      "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root",
      "--listen-address=127.0.0.1", `--port=${this.port}`, "--local=/test/", "--local-ttl=1", "--pid-file=",
      `--addn-hosts=${this.#folder}/hosts`, ...options,
    ];
    const command = new Deno.Command("dnsmasq", { args, stdin: "null", stdout: "null", stderr: "null" });
    let hasEnded = true;
    await waitFor(async () => {
      if (hasEnded) { // at first, and when somebody's connection has the port for a moment
        hasEnded = false;
        const child = this.#child = command.spawn();
        child.status.then(() => hasEnded = child === this.#child);
      }
      return await this.#answers() && !hasEnded;
    }, { what: "an answer of dnsmasq", timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    Deno.removeSync(this.#folder, { recursive: true });
  }

  #write(names: Readonly<Record<string, readonly string[]>>): void {
    const lines = Object.entries(names).flatMap(([name, addresses]) =>
      addresses.map((address) => `${address} ${name}`)
    );
    Deno.writeTextFileSync(`${this.#folder}/hosts`, `${lines.join("\n")}\n`);
  }

  async #answers(): Promise<boolean> {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const timer = setTimeout(() => socket.close(), 200);
    try {
      const question = writeQuestion({ name: "test", type: "A" }, 1, false);
      await socket.send(question, { transport: "udp", hostname: "127.0.0.1", port: this.port });
      const [bytes] = await socket.receive();
      clearTimeout(timer);
      socket.close();
      return readMessage(Buffer.from(bytes)).isAnswer;
    } catch {
      clearTimeout(timer);
      return false; // it was closed by the timer
    }
  }
}

/** A real ACME authority for tests: Debian's `pebble`, and `pebble-challtestsrv`, which tells it that all names lead here. */

import { makeAuthority, makePair, type Pair, TemporaryDirectory } from "./certificates.ts";
import { hasCommand } from "./has_command.ts";
import { waitFor } from "./wait.ts";

export interface PebbleOptions {
  /** Where it asks for the answers to its challenges. */
  readonly httpPort: number;
  /** How long its certificates are valid. Default: five years. */
  readonly validSeconds?: number;
  /** How many of 100 good nonces it refuses. Default 20. */
  readonly refusedNonces?: number;
  /** The longest pause before a validation. Default 0. */
  readonly sleepSeconds?: number;
  /** Accounts need one of these keys, by id. */
  readonly externalKeys?: Readonly<Record<string, string>>;
}

/** Tests that need it are skipped where it is not installed. */
export const HAS_PEBBLE = hasCommand("pebble") && hasCommand("pebble-challtestsrv");

export class Pebble implements AsyncDisposable {
  readonly #folder = new TemporaryDirectory();
  readonly #options: PebbleOptions;
  readonly #pair: Pair;
  readonly #ports = { acme: lastingPort(), management: lastingPort(), dns: lastingPort(), names: lastingPort() };
  /** The file with the authority of its own certificate. */
  readonly ca: string;
  readonly #caText: string;
  #children: Deno.ChildProcess[] = [];

  static async start(options: PebbleOptions): Promise<Pebble> {
    const authority = await makeAuthority();
    const pebble = new Pebble(options, authority, await makePair({ authority }));
    await pebble.restart();
    return pebble;
  }

  private constructor(options: PebbleOptions, authority: Pair, pair: Pair) {
    this.#options = options;
    this.#pair = pair;
    this.#caText = authority.cert;
    this.ca = this.#folder.write("ca.pem", authority.cert);
  }

  get directory(): string {
    return `https://127.0.0.1:${this.#ports.acme}/dir`;
  }

  get caText(): string {
    return this.#caText;
  }

  /** Starts it again. It knows nothing of its earlier accounts then. */
  async restart(): Promise<void> {
    await this.kill();
    const { httpPort, validSeconds, refusedNonces = 20, sleepSeconds = 0, externalKeys } = this.#options;
    const { acme, management, dns, names } = this.#ports;
    const { cert, key } = this.#folder.writePair(this.#pair);
    const config = this.#folder.write(
      "pebble.json",
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${acme}`,
          managementListenAddress: `127.0.0.1:${management}`,
          certificate: cert,
          privateKey: key,
          httpPort,
          tlsPort: 1,
          externalAccountBindingRequired: externalKeys !== undefined,
          externalAccountMACKeys: externalKeys ?? {},
          ...validSeconds === undefined ? {} : { certificateValidityPeriod: validSeconds },
        },
      }),
    );
    this.#spawn("pebble-challtestsrv", [
      ...["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${names}`, "-defaultIPv4", "127.0.0.1"],
      ...["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""],
    ]);
    this.#spawn("pebble", ["-config", config, "-dnsserver", `127.0.0.1:${dns}`, "-strict"], {
      PEBBLE_WFE_NONCEREJECT: `${refusedNonces}`,
      ...sleepSeconds === 0 ? { PEBBLE_VA_NOSLEEP: "1" } : { PEBBLE_VA_SLEEPTIME: `${sleepSeconds}` },
    });
    await waitFor(() => isOpen(acme), { what: "pebble" });
    await waitFor(() => isOpen(names), { what: "pebble-challtestsrv" });
  }

  async kill(): Promise<void> {
    const children = this.#children;
    this.#children = [];
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => child.status));
  }

  /** The authority at the end of the chains that it makes. */
  async root(): Promise<string> {
    using client = Deno.createHttpClient({ caCerts: [this.#caText] });
    return await (await fetch(`https://127.0.0.1:${this.#ports.management}/roots/0`, { client })).text();
  }

  /** Makes a name lead to another address. */
  async lead(name: string, address: string): Promise<void> {
    for (const action of ["clear-a", "add-a"]) {
      const body = JSON.stringify({ host: `${name}.`, addresses: [address] });
      await (await fetch(`http://127.0.0.1:${this.#ports.names}/${action}`, { method: "POST", body })).body?.cancel();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#folder[Symbol.dispose]();
  }

  #spawn(program: string, args: readonly string[], env: Record<string, string> = {}): void {
    this.#children.push(
      new Deno.Command(program, { args: [...args], env, stdin: "null", stdout: "null", stderr: "null" }).spawn(),
    );
  }
}

async function isOpen(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** A port that stays free between two listeners: the system gives none of these to connections by itself. */
export function lastingPort(): number {
  for (let tries = 0;; tries++) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || tries > 100) throw error;
    }
  }
}

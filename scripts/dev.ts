/**
 * `deno task dev`: sample backends and the proxy, which is restarted when its source or its configuration changes.
 * Prints what to try; Ctrl-C stops everything.
 *
 *     deno task dev [--routes] [--any-ports]
 */

import { Child } from "./dev/child.ts";
import { hints, type Running } from "./dev/hints.ts";

interface Options {
  /** Two pools and a canary (`scripts/dev/routes.json`) in place of one pool (`config.json`). */
  readonly routes: boolean;
  /** Takes free ports in place of the usual ones. */
  readonly anyPorts: boolean;
}

const usage = `usage: deno task dev [OPTIONS]
  --routes     two pools and a canary, instead of one pool
  --any-ports  takes free ports instead of 8080, 8081 and 9001 to 9006`;

const root = new URL("..", import.meta.url);
const names = ["one", "two", "three", "four", "five", "six"];
const firstBackendPort = 9001;

/** A message about the first usual port that is in use. */
function takenPort(backends: number): string | undefined {
  const ports: [name: string, hostname: string, port: number][] = [
    ["the proxy", "0.0.0.0", 8080],
    ["the admin API", "127.0.0.1", 8081],
    ...names.slice(0, backends).map((name, at): [string, string, number] => {
      return [`backend ${name}`, "127.0.0.1", firstBackendPort + at];
    }),
  ];
  for (const [name, hostname, port] of ports) {
    try {
      Deno.listen({ hostname, port }).close();
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      return `port ${port}, meant for ${name}, is taken; --any-ports takes free ones`;
    }
  }
  return undefined;
}

/**
 * Fetches what the program and the backends import: one process, so that there is one bar of progress. Several would
 * download the same at once, and overwrite each other's lines.
 */
async function fetchDependencies(): Promise<boolean> {
  const args = ["cache", "main.ts", "scripts/backend.ts"];
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: root, stdin: "null", stdout: "inherit" })
    .spawn().status;
  return success;
}

/** What is running so far, and what ends it. */
class Dev {
  readonly #options: Options;
  readonly #children: Child[] = [];
  /** Colours as in a terminal, because the lines go through a pipe to one. */
  readonly #env: Record<string, string> = Deno.stderr.isTerminal() && !Deno.noColor ? { FORCE_COLOR: "1" } : {};
  #isStopping = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Resolves when every child has ended. */
  get ended(): Promise<unknown> {
    return Promise.all(this.#children.map(({ ended }) => ended));
  }

  /** Starts everything. Resolves when it is ready, or when one has ended before. */
  async start(): Promise<Running | undefined> {
    const { routes, anyPorts } = this.#options;
    const backends = names.slice(0, routes ? 6 : 3).map((name, at) => {
      const port = anyPorts ? 0 : firstBackendPort + at;
      const args = ["run", "--cached-only", "-A", "scripts/backend.ts", "--port", String(port), "--name", name];
      return this.#add(`backend ${name}`, args, {});
    });
    const ports: number[] = [];
    for (const backend of backends) {
      const [, port] = await backend.said(/listens on http:\S+:(\d+)/) ?? [];
      if (port === undefined) return undefined;
      ports.push(Number(port));
    }
    const proxy = this.#add("proxy", this.#proxyArgs(ports), portVariables(ports));
    const [, proxyUrl, adminUrl] = await proxy.said(/ready proxy=(\S+) admin=(\S+)/) ?? [];
    if (proxyUrl === undefined || adminUrl === undefined) return undefined;
    return { proxy: local(proxyUrl), admin: local(adminUrl), ports, secondPid: backends[1]?.pid ?? 0 };
  }

  /** Says nothing any more about children that end: a signal of the terminal reaches them, too. */
  beQuiet(): void {
    this.#isStopping = true;
  }

  async stop(): Promise<void> {
    this.beQuiet();
    await Promise.all(this.#children.map((child) => child.end()));
  }

  #proxyArgs(ports: readonly number[]): string[] {
    const { routes, anyPorts } = this.#options;
    const config = routes ? "scripts/dev/routes.json" : "config.json";
    const [proxy, admin] = anyPorts ? [0, 0] : [8080, 8081];
    return [
      ...["run", "--cached-only", "--no-prompt", "--allow-net", "--allow-env", "--allow-read", "--allow-write"],
      ...[`--watch=${config}`, "--no-clear-screen", "main.ts", "--config", config],
      // The ports are given as flags so that what is printed below holds whatever the file says.
      ...["--port", String(proxy), "--admin-port", String(admin), "--log-level", "info", "--log-format", "text"],
      ...(anyPorts && !routes ? ports.flatMap((port) => ["-b", `127.0.0.1:${port}`]) : []),
    ];
  }

  #add(name: string, args: readonly string[], env: Readonly<Record<string, string>>): Child {
    const child = new Child({ name, args, env: { ...this.#env, ...env } });
    this.#children.push(child);
    void child.ended.then(({ signal, code }) => {
      if (this.#isStopping) return;
      say(`${name} exited (${signal ?? `status ${code}`}); to start it again: deno ${args.join(" ")}`);
    });
    return child;
  }
}

/** What `routes.json` refers to. */
function portVariables(ports: readonly number[]): Record<string, string> {
  return Object.fromEntries(ports.map((port, at) => [`DEV_${names[at]?.toUpperCase()}`, String(port)]));
}

function local(url: string): string {
  return `localhost:${new URL(url).port || "80"}`;
}

function say(message: string): void {
  console.error(`dev: ${message}`);
}

/** Runs until a signal comes or every child has ended; then none is left. Returns the exit status. */
async function main(options: Options): Promise<number> {
  const taken = options.anyPorts ? undefined : takenPort(options.routes ? 6 : 3);
  if (taken !== undefined) {
    say(taken);
    return 1;
  }
  if (!await fetchDependencies()) {
    say("the dependencies can't be fetched");
    return 1;
  }
  const dev = new Dev(options);
  const stop = Promise.withResolvers<"signal">();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      dev.beQuiet();
      stop.resolve("signal");
    });
  }
  try {
    const running = await Promise.race([stop.promise, dev.start()]);
    if (running === "signal") return 0;
    if (running !== undefined) {
      console.error(hints(running, options.routes));
      say(`ready: the proxy is at http://${running.proxy}, the dashboard at http://${running.admin}`);
    }
    return await Promise.race([stop.promise, dev.ended.then(() => "ended" as const)]) === "signal" ? 0 : 1;
  } finally {
    await dev.stop();
  }
}

if (import.meta.main) {
  const unknown = Deno.args.find((arg) => arg !== "--routes" && arg !== "--any-ports");
  if (unknown !== undefined) {
    console.error(unknown === "--help" ? usage : `unknown argument ${unknown}\n${usage}`);
    Deno.exit(unknown === "--help" ? 0 : 2);
  }
  Deno.exit(await main({ routes: Deno.args.includes("--routes"), anyPorts: Deno.args.includes("--any-ports") }));
}

/**
 * `deno task dev`: three sample backends and the proxy, which is restarted when its source or `config.json` changes.
 * Prints what to try; Ctrl-C stops everything.
 */

interface Child {
  readonly name: string;
  /** Arguments of `deno`. */
  readonly args: readonly string[];
  readonly ports: readonly { readonly hostname: string; readonly port: number }[];
}

interface RunningChild {
  readonly child: Child;
  readonly process: Deno.ChildProcess;
  /** Resolves once the process has ended and that is printed. */
  readonly ended: Promise<void>;
}

const root = new URL("..", import.meta.url);
const loopback = "127.0.0.1";
const proxyPort = 8080;
const adminPort = 8081;
/** How long a child may take to end before it is killed. */
const stopTimeoutMs = 3_000;
/** How long to wait for a child to listen before the hints are printed. */
const startTimeoutMs = 10_000;

const children: readonly Child[] = [
  sampleBackend("one", 9001),
  sampleBackend("two", 9002),
  sampleBackend("three", 9003),
  {
    name: "proxy",
    // The ports are given as flags so that what is printed below holds whatever config.json says.
    args: [
      ...["run", "-P", "--watch=config.json", "--no-clear-screen", "main.ts", "--config", "config.json"],
      ...["--port", String(proxyPort), "--admin-port", String(adminPort), "--log-level", "info"],
    ],
    ports: [{ hostname: "0.0.0.0", port: proxyPort }, { hostname: loopback, port: adminPort }],
  },
];

function sampleBackend(name: string, port: number): Child {
  return {
    name: `backend ${name}`,
    args: ["run", "-A", "scripts/backend.ts", "--port", String(port), "--name", name],
    ports: [{ hostname: loopback, port }],
  };
}

/** A message about the first port of `children` that is in use. */
function takenPort(): string | undefined {
  for (const { name, ports } of children) {
    for (const address of ports) {
      try {
        Deno.listen(address).close();
      } catch (error) {
        if (!(error instanceof Deno.errors.AddrInUse)) throw error;
        return `port ${address.port}, meant for ${name}, is taken`;
      }
    }
  }
  return undefined;
}

/**
 * Starts `child` with its output on ours. When it ends, says so and how to start it again; `isStopping` silences that.
 */
function start(child: Child, isStopping: () => boolean): RunningChild {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...child.args],
    cwd: root,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const ended = process.status.then(({ signal, code }) => {
    if (isStopping()) return;
    say(`${child.name} exited (${signal ?? `status ${code}`}); to start it again: deno ${child.args.join(" ")}`);
  });
  return { child, process, ended };
}

/** Resolves once every port of the child accepts connections, it has ended, or the time is up. */
async function listening({ child, ended }: RunningChild): Promise<void> {
  let done = false;
  ended.then(() => done = true);
  const deadline = performance.now() + startTimeoutMs;
  for (const { port } of child.ports) {
    while (!done && performance.now() < deadline) {
      try {
        (await Deno.connect({ hostname: loopback, port })).close();
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

function help(running: readonly RunningChild[]): string {
  const two = running.find(({ child }) => child.name === "backend two");
  const admin = `localhost:${adminPort}`;
  const rows: [command: string, meaning: string][] = [
    [`curl localhost:${proxyPort}`, "a request through the proxy; repeat it: each backend in turn"],
    [`curl ${admin}/status`, "the pool"],
    [`http://${admin}`, "the dashboard, for a browser; deno run -P main.ts top shows it here"],
    ["curl -X POST localhost:9002/fail", "backend two fails its health check; /recover: it passes again"],
    [`kill ${two?.process.pid}`, "stops backend two for good"],
    ["deno run -A scripts/backend.ts --port 9004 --name four", "starts another one (in another terminal)"],
    [`curl ${admin}/backends --json '{"url":"http://127.0.0.1:9004"}'`, "adds it to the pool"],
    [`curl -X DELETE '${admin}/backends?url=http://127.0.0.1:9004'`, "takes it out again"],
  ];
  const width = Math.max(...rows.map(([command]) => command.length));
  const lines = rows.map(([command, meaning]) => `  ${command.padEnd(width)}  # ${meaning}`);
  return ["", "Try:", ...lines, "Ctrl-C stops everything.", ""].join("\n");
}

function say(message: string): void {
  console.error(`dev: ${message}`);
}

/** Runs until a signal comes or every child has ended; then none is left. Returns the exit status. */
async function main(): Promise<number> {
  const taken = takenPort();
  if (taken !== undefined) {
    say(taken);
    return 1;
  }

  const stop = Promise.withResolvers<"signal">();
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      stopping = true;
      stop.resolve("signal");
    });
  }

  const running: RunningChild[] = [];
  try {
    for (const child of children) running.push(start(child, () => stopping));
    const allEnded = Promise.all(running.map(({ ended }) => ended)).then(() => "ended" as const);
    const allListening = Promise.all(running.map(listening)).then(() => "listening" as const);
    const first = await Promise.race([stop.promise, allEnded, allListening]);
    if (first === "listening") console.error(help(running));
    return await Promise.race([stop.promise, allEnded]) === "signal" ? 0 : 1;
  } finally {
    stopping = true;
    await Promise.all(running.map(end));
  }
}

/** Ends a child by SIGINT, because only that ends a `deno --watch` too. Kills it if it takes too long. */
async function end({ process, ended }: RunningChild): Promise<void> {
  const send = (signal: Deno.Signal) => {
    try {
      process.kill(signal);
    } catch {
      // it has ended already
    }
  };
  send("SIGINT");
  const timer = setTimeout(() => send("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(timer);
}

if (import.meta.main) Deno.exit(await main());

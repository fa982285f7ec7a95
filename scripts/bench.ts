/**
 * `deno task bench`: what a request costs roundhouse and other proxies in CPU time, side by side on this machine.
 *
 *     deno task bench [--rounds 3] [--seconds 5] [--quick] [--workload small|64KiB|1MiB]... [--peer NAME]... [--json FILE]
 *     deno task bench --picks
 *     deno task bench --start-up
 *
 * Each proxy stands before the same two nginx backends under the same load of 64 keep-alive connections, and takes its
 * turn in every round, so that whatever else the machine does hits all alike. All traffic stays on 127.0.0.1. With
 * `--picks` there is no traffic: it shows what choosing a backend costs, by strategy and number of backends.
 */
import { parseArgs } from "@std/cli/parse-args";
import { startBackends, type Workload, workloads } from "./bench/backends.ts";
import { createMeasure, type Load, type Sample } from "./bench/measure.ts";
import { type Peer, peers } from "./bench/peers.ts";
import { measurePicks } from "./bench/picks.ts";
import { measureStartUp } from "./bench/start_up.ts";
import { findProgram, freePorts, run, ServerProcess } from "./bench/processes.ts";
import { json, type Result, table, troublesText } from "./bench/report.ts";

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly workloads: readonly Workload[];
  readonly peers: readonly Peer[];
  /** Where the figures go as JSON. */
  readonly json?: string;
}

interface RunningPeer {
  readonly peer: Peer;
  readonly version: string;
  readonly port: number;
  readonly process: ServerProcess;
}

const usage = `usage: deno task bench [OPTIONS]
  --rounds N        measure each proxy so often, by turns (default 3)
  --seconds N       length of a measurement (default 5)
  --quick           one round of 3 s
  --workload NAME   ${workloads.map(({ name }) => name).join(", ")}; repeatable (default small)
  --peer NAME       only proxies whose name begins so; repeatable (default all)
  --json FILE       write the figures there as well
  --start-up        measure only the time from the built file's start to ready, beside Caddy's
  --picks           measure only what a strategy's choice costs, with 2, 100 and 1,000 backends`;

/** What the flags ask for, or the first thing wrong with them. */
function parseOptions(args: string[]): Options | "help" | "picks" | "start-up" | Error {
  const unknown: string[] = [];
  const flags = parseArgs(args, {
    string: ["rounds", "seconds", "workload", "peer", "json"],
    boolean: ["quick", "picks", "start-up", "help"],
    collect: ["workload", "peer"],
    alias: { help: "h" },
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (flags.help === true) return "help";
  if (unknown[0] !== undefined) return new Error(`unknown argument ${unknown[0]}`);
  if (flags["start-up"] === true) {
    return args.length === 1 ? "start-up" : new Error("--start-up goes with no other option");
  }
  if (flags.picks === true) return args.length === 1 ? "picks" : new Error("--picks goes with no other option");

  const quick = flags.quick === true;
  const rounds = wholeNumber(flags.rounds ?? (quick ? "1" : "3"), 20);
  if (rounds === undefined) return new Error("--rounds must be a whole number from 1 to 20");
  const seconds = wholeNumber(flags.seconds ?? (quick ? "3" : "5"), 60);
  if (seconds === undefined) return new Error("--seconds must be a whole number from 1 to 60");

  const wantedWorkloads = listOf(flags.workload);
  const strange = wantedWorkloads.find((name) => !workloads.some((workload) => workload.name === name));
  if (strange !== undefined) {
    return new Error(`--workload must be ${workloads.map(({ name }) => name).join(", ")}, received "${strange}"`);
  }
  const wantedPeers = listOf(flags.peer);
  const stranger = wantedPeers.find((name) => !peers.some((peer) => peer.name.startsWith(name)));
  if (stranger !== undefined) {
    return new Error(`--peer must begin one of ${peers.map(({ name }) => name).join(", ")}, received "${stranger}"`);
  }
  if (flags.json === "") return new Error("--json wants a file name");
  return {
    rounds,
    seconds,
    workloads: workloads.filter(({ name }) =>
      wantedWorkloads.length === 0 ? name === "small" : wantedWorkloads.includes(name)
    ),
    peers: peers.filter((peer) => wantedPeers.length === 0 || wantedPeers.some((name) => peer.name.startsWith(name))),
    ...(flags.json === undefined ? {} : { json: String(flags.json) }),
  };
}

function wholeNumber(text: unknown, max: number): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(String(text)) && value >= 1 && value <= max ? value : undefined;
}

function listOf(flag: unknown): string[] {
  return Array.isArray(flag) ? flag.map(String) : [];
}

/** Measures as `options` say and prints the table. Whatever it started has ended when it settles. */
async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const wrk = needed("wrk", "wrk");
  const nginx = needed("nginx", "nginx-light");

  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "roundhouse-bench-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));

  const load: Load = {
    wrk,
    threads: navigator.hardwareConcurrency >= 4 ? 2 : 1, // with fewer cores a second one only gets in the way
    connections: 64,
    seconds: options.seconds,
    warmUpSeconds: 1,
  };
  const measure = await createMeasure(load, directory, signal);
  const backends = await startBackends(nginx, directory, stack, signal);

  const running: RunningPeer[] = [];
  for (const peer of options.peers) {
    try {
      const started = await startPeer(peer, `${directory}/peer-${running.length}`, backends, stack, signal);
      for (const workload of options.workloads) await checkAnswer(started, workload);
      running.push(started);
    } catch (error) {
      signal.throwIfAborted();
      say(`${peer.name} skipped: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (running.length === 0) throw new Error("there is no proxy to measure");

  const measurements = options.rounds * options.workloads.length * running.length;
  const estimate = measurements * (load.seconds + load.warmUpSeconds);
  say(`${measurements} measurements of ${load.seconds} s, about ${estimate} s in all`);
  const samples = new Map<string, Sample[]>();
  for (let round = 1; round <= options.rounds; round++) {
    for (const { name: workload } of options.workloads) {
      for (const { peer, port, process } of running) {
        const sample = await measure(process.pid, `http://127.0.0.1:${port}/${workload}`);
        const key = `${workload} ${peer.name}`;
        samples.set(key, [...samples.get(key) ?? [], sample]);
        const figures = `${sample.cpuMicrosPerRequest.toFixed(1)} µs, ${
          sample.requestsPerSecond.toFixed(0)
        } requests/s`;
        const troubles = troublesText(sample);
        say(
          `round ${round}/${options.rounds}, ${workload}, ${peer.name}: ${figures}` +
            (troubles === undefined ? "" : `; ${troubles}`),
        );
      }
    }
  }

  const results: Result[] = options.workloads.flatMap(({ name: workload }) =>
    running.map(({ peer, version }) => ({
      peer: peer.name,
      version,
      workload,
      samples: samples.get(`${workload} ${peer.name}`) ?? [],
    }))
  );
  console.log(`\n${table(results)}`);
  if (options.json !== undefined) {
    const { threads, connections, seconds, warmUpSeconds } = load;
    const machine = { cpu: cpuModel(), cores: navigator.hardwareConcurrency, deno: Deno.version.deno };
    const conditions = { at: new Date().toISOString(), ...machine, threads, connections, seconds, warmUpSeconds };
    await Deno.writeTextFile(options.json, json(results, conditions));
  }
}

async function startPeer(
  peer: Peer,
  directory: string,
  backends: readonly number[],
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<RunningPeer> {
  const program = peer.program();
  if (program === undefined) throw new Error(peer.remedy);
  await Deno.mkdir(directory, { recursive: true });
  const { stdout, stderr } = await run({ command: program, args: peer.versionArgs }, signal);
  const version = /\d+\.\d+(\.\d+)*/.exec(stdout + stderr)?.[0] ?? "?";
  const port = freePorts(1)[0] ?? 0;
  const launch = await peer.launch({ program, directory, port, backends, signal });
  return { peer, version, port, process: stack.use(await ServerProcess.start(launch, port, signal)) };
}

/** Throws unless the proxy passes on the whole answer: figures of error pages would look splendid. */
async function checkAnswer({ port }: RunningPeer, { name, bytes }: Workload): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/${name}`, { signal: AbortSignal.timeout(5_000) });
  const { byteLength } = await response.arrayBuffer();
  if (response.status !== 200 || byteLength !== bytes) {
    throw new Error(`it answered ${response.status} with ${byteLength} bytes instead of ${bytes}`);
  }
}

function needed(program: string, debianPackage: string): string {
  const path = findProgram(program);
  if (path === undefined) throw new Error(`${program} is needed: install the Debian package ${debianPackage}`);
  return path;
}

function cpuModel(): string {
  return /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown";
}

function say(message: string): void {
  console.error(`bench: ${message}`);
}

if (import.meta.main) {
  const options = parseOptions(Deno.args);
  if (options === "help") {
    console.log(usage);
    Deno.exit(0);
  }
  if (options === "start-up") {
    console.log(await measureStartUp());
    Deno.exit(0);
  }
  if (options === "picks") {
    console.log(measurePicks());
    Deno.exit(0);
  }
  if (options instanceof Error) {
    say(options.message);
    Deno.exit(2);
  }

  // A proxy set for the outside world is not meant for 127.0.0.1, but fetch would use it there.
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
    Deno.env.delete(name);
    Deno.env.delete(name.toLowerCase());
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error("interrupted")));
  }
  try {
    await bench(options, interrupted.signal);
    Deno.exit(0); // else the signal handlers would keep the process alive
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    Deno.exit(interrupted.signal.aborted ? 130 : 1);
  }
}

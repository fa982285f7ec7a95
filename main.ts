/** Start: flags, configuration, Roundhouse, signals. Nothing else. */

import type { AdminTarget } from "./src/cli/admin_call.ts";
import { type Command, parseCommand } from "./src/cli/command.ts";
import { writeOut } from "./src/cli/output.ts";
import { LiveConfig } from "./src/config/live_config.ts";
import { namedSource, STANDARD_INPUT } from "./src/config/load.ts";
import { jsonSchema } from "./src/config/schema.ts";
import { ConfigError, messageOf, UsageError } from "./src/errors.ts";
import { type Log, type Logging, setUpLog } from "./src/log.ts";
import type { Terminal } from "./src/log_format.ts";
import { Roundhouse } from "./src/control/roundhouse.ts";
import { Signals } from "./src/control/signals.ts";
import { checkCertificateFiles } from "./src/tls/check.ts";
import { Predecessor } from "./src/service/handover.ts";
import { takeListenFds } from "./src/service/listen_fds.ts";
import { ownCommand } from "./src/service/own_command.ts";
import { ServiceManager } from "./src/service/service_manager.ts";
import { Successor } from "./src/service/successor.ts";
import { obstacleTo, Upgrade } from "./src/service/upgrade.ts";
import { stateDirectory } from "./src/state_directory.ts";
import { BUILD, VERSION } from "./src/version.ts";
import { WORKER_URL } from "./src/workers/worker_url.ts";

/** Variables that would redirect the runtime's own sockets: `fetch` obeys the first three, `Deno.serve` the last. */
const MEDDLING_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DENO_SERVE_ADDRESS"];

/** Why a start without anything to go by fails, and how to begin. */
const NOTHING_TO_SERVE = `nothing to serve: got no configuration file and no backend

Begin with backends:
  roundhouse -b http://127.0.0.1:9001 -b http://127.0.0.1:9002
or with a file:
  echo '{ "backends": ["http://127.0.0.1:9001"] }' > config.json
  roundhouse --config config.json
`;

async function main(args: readonly string[], signals: Signals): Promise<number> {
  for (const name of MEDDLING_VARIABLES) {
    Deno.env.delete(name);
    Deno.env.delete(name.toLowerCase());
  }
  const command = parseCommand(args);
  // What only some commands need is loaded by them: a start of the proxy should be fast.
  switch (command.kind) {
    case "help":
      return print((await import("./src/cli/help.ts")).helpText(command.topic));
    case "version":
      return print(`roundhouse ${VERSION}${BUILD && ` (${BUILD})`}\n`);
    case "schema":
      return print(jsonSchema());
    case "hash-password":
      return await (await import("./src/cli/hash_password.ts")).hashPassword(signals.stopped);
    case "check":
      return await check(command, signals);
    case "routes":
      return await routes(command, signals);
    case "top":
      return await top(command.adminUrl, signals);
    case "reload":
      return await (await import("./src/cli/clients.ts")).reload(adminTarget(command.adminUrl, signals));
    case "ready":
      return await (await import("./src/cli/clients.ts")).ready(adminTarget(command.adminUrl, signals));
    case "run":
      return await run(command, signals);
  }
}

type ConfiguredCommand = Extract<Command, { configPath: string | undefined }>;

/** Reads the configuration; `undefined` when a signal to stop came while standard input was awaited. */
async function load({ configPath, overrides }: ConfiguredCommand, signals: Signals): Promise<LiveConfig | undefined> {
  const options = { path: configPath, flags: overrides, env };
  if (namedSource(options) !== STANDARD_INPUT) return new LiveConfig({ ...options, stdin: undefined });
  const stdin = await Promise.race([new Response(Deno.stdin.readable).text(), signals.stopped.then(() => undefined)]);
  return stdin === undefined ? undefined : new LiveConfig({ ...options, stdin });
}

function env(name: string): string | undefined {
  return Deno.env.get(name);
}

async function check(command: ConfiguredCommand, signals: Signals): Promise<number> {
  const live = await load(command, signals);
  if (live === undefined) return 1;
  const { config, warnings } = live.started;
  const files = checkCertificateFiles(config, new Date());
  for (const warning of [...warnings, ...files.warnings]) console.error(`warning: ${warning}`);
  const { acmePlan } = await import("./src/tls/acme/plan.ts");
  const planned = acmePlan({ config, state: stateDirectory(env), now: new Date() });
  const { describeConfig } = await import("./src/config/describe.ts");
  return print([...describeConfig(config, [...files.certificates, ...planned]), ""].join("\n"));
}

async function routes(command: ConfiguredCommand, signals: Signals): Promise<number> {
  const live = await load(command, signals);
  if (live === undefined) return 1;
  const { describeRoutes } = await import("./src/config/routes/describe.ts");
  const { routes } = live.started.config;
  const lines = routes === null ? ["no routes: every request goes to the pool default"] : describeRoutes(routes);
  return print(lines.map((line) => `${line}\n`).join(""));
}

/** The admin API that a command is a client of. A signal ends its calls. */
function adminTarget(adminUrl: string, signals: Signals): AdminTarget {
  const stop = new AbortController();
  signals.stopped.then(() => stop.abort());
  signals.onHangUp(() => stop.abort());
  return { adminUrl, token: env("ROUNDHOUSE_ADMIN_TOKEN") || undefined, signal: stop.signal };
}

/** Watches until a signal ends it. */
async function top(adminUrl: string, signals: Signals): Promise<number> {
  const { runTop } = await import("./src/cli/top/top.ts");
  await runTop({ ...adminTarget(adminUrl, signals), hasColour: hasColour() });
  return 0;
}

/** What standard error is. `FORCE_COLOR` says that a pipe leads to a terminal (https://force-color.org). */
function errorTerminal(): Terminal {
  if ((env("FORCE_COLOR") ?? "") !== "") return "colour";
  if (!Deno.stderr.isTerminal()) return "none";
  return hasColour() ? "colour" : "plain";
}

/** Whether a terminal's colours may be used (https://no-color.org). */
function hasColour(): boolean {
  return (env("NO_COLOR") ?? "") === "" && env("TERM") !== "dumb";
}

/** Runs until a signal ends it; resolves with the exit status. */
async function run(command: ConfiguredCommand, signals: Signals): Promise<number> {
  const predecessor = await Predecessor.take(Deno.env);
  try {
    return await runAfter(predecessor, command, signals);
  } catch (error) {
    await predecessor?.failed(error);
    throw error;
  }
}

async function runAfter(
  predecessor: Predecessor | undefined,
  command: ConfiguredCommand,
  signals: Signals,
): Promise<number> {
  const live = await load(command, signals);
  if (live === undefined || signals.stopping) return 0;
  const hasSource = live.file !== null || namedSource({ path: command.configPath, env }) !== undefined;
  if (!hasSource && live.started.config.backends.length === 0) throw new UsageError(NOTHING_TO_SERVE);
  if (command.watchConfig && live.file === null) {
    throw new ConfigError(["--watch-config: got no file, want one to watch"]);
  }
  const logging = setUpLog(live.started.config.log, errorTerminal());
  const manager = ServiceManager.take(Deno.env, logging.log);
  try {
    const isWatched = command.watchConfig;
    const fromStandardInput = namedSource({ path: command.configPath, env }) === STANDARD_INPUT;
    await serve({ live, isWatched, logging, signals, manager, predecessor, fromStandardInput });
  } finally {
    await manager.close();
    await logging.close();
  }
  return 0;
}

interface Serving {
  readonly live: LiveConfig;
  readonly isWatched: boolean;
  readonly logging: Logging;
  readonly signals: Signals;
  readonly manager: ServiceManager;
  readonly predecessor: Predecessor | undefined;
  /** Whether the configuration was read there. */
  readonly fromStandardInput: boolean;
}

/** From the start to the end of a graceful stop. */
async function serve(serving: Serving): Promise<void> {
  const { live, isWatched, logging, signals, manager, predecessor } = serving;
  const { config, warnings, path } = live.started;
  const { log } = logging;
  const sockets = predecessor?.sockets ?? takeListenFds(Deno.env);
  for (const warning of warnings) log.warn("configuration", { warning });
  const roundhouse = await Roundhouse.start({
    config,
    log,
    version: VERSION,
    workerUrl: WORKER_URL,
    sockets,
    stateDirectory: stateDirectory(env),
    save: (change) => live.save(change),
    load: () => live.reload(),
    reloaded: ({ log }) => logging.configure(log),
    reloading: (reload) => void manager.reloading(reload),
  });
  const { proxyUrl: proxy, adminUrl: admin, redirectUrl } = roundhouse;
  const redirect = redirectUrl === undefined ? {} : { redirect: redirectUrl };
  const file = path === null ? {} : { config: path };
  log.info("ready", { proxy, ...redirect, admin, ...file, version: VERSION, pid: Deno.pid });
  const isAlone = predecessor !== undefined && !await predecessor.ready();
  if (isAlone) log.warn("the replaced process has ended early", { consequence: "this one serves in its place" });
  manager.ready(`serves at ${proxy}, admin API at ${admin}`, () => roundhouse.settled());
  signals.onHangUp(() => void logged(roundhouse.reload(), log));
  const reloadIfChanged = () => void logged(roundhouse.reloadIf(() => live.changed()), log);
  const watch = isWatched && live.file !== null
    ? (await import("./src/sources/watch.ts")).watchFile(live.file, reloadIfChanged)
    : undefined;
  // Somebody may have changed the file during the start. If not for its end, the replaced process would have told so.
  if (watch !== undefined || isAlone) reloadIfChanged();

  const end = await theEnd({ ...serving, fromSystemd: sockets.fromSystemd, roundhouse });
  await watch?.close();
  if (end instanceof Successor) {
    log.info("handed over", { pid: end.pid });
    manager.handedOver(end.pid);
    await roundhouse.handOver();
    end.catchUp(live.revision);
    await roundhouse.stop();
    end.catchUp(live.revision); // changes on connections that were open still
  } else {
    log.info("stopping", { signal: end });
    manager.stopping();
    await roundhouse.stop();
  }
  log.info("stopped", {});
}

/** The signal to stop, or the process that has taken the place of this one. */
async function theEnd(
  { live, logging, signals, manager, fromStandardInput, fromSystemd, roundhouse }: Serving & {
    readonly fromSystemd: boolean;
    readonly roundhouse: Roundhouse;
  },
): Promise<Deno.Signal | Successor> {
  const upgrade = new Upgrade({
    log: logging.log,
    offer: () => roundhouse.offerSockets(),
    resume: () => roundhouse.resume(),
    fromSystemd,
    revision: () => live.revision,
    command: () => ownCommand(Deno.env),
    environment: () => ({ ...Deno.env.toObject(), ...manager.environment }),
    obstacle: obstacleTo({ hasServiceManager: manager.present, fromStandardInput, env }),
  });
  signals.onUpgrade(() => upgrade.request());
  const end = await Promise.race([signals.stopped, upgrade.done]);
  if (!(end instanceof Successor)) await upgrade.cancel();
  return end;
}

/** What is wrong with a reload is a line of the log each, and nothing changes. */
async function logged(reload: Promise<unknown>, log: Log): Promise<void> {
  try {
    await reload;
  } catch (error) {
    const lines = error instanceof ConfigError ? error.lines : [messageOf(error)];
    for (const reason of lines) log.error("reload failed", { reason });
  }
}

/** A reader that has seen enough, such as `head`, is no failure. */
function print(text: string): number {
  try {
    writeOut(text);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  return 0;
}

/** One line an error, never a stack trace; resolves to the exit status. */
function report(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`roundhouse: ${error.message}\nTry roundhouse --help.`);
    return 2;
  }
  const lines = error instanceof ConfigError ? error.lines : [messageOf(error)];
  for (const line of lines) console.error(line);
  return 1;
}

if (import.meta.main) {
  const signals = new Signals();
  // Not called from here: for each error, the runtime asks where in the source every function that waits for its end
  // stands. For this one it would have to read all modules again, which are one in a built file. It takes 40 ms there.
  queueMicrotask(async () => {
    // Whatever requests are still open past `timeouts.shutdown` end here.
    Deno.exit(await main(Deno.args, signals).catch(report));
  });
}

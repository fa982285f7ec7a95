/** Start: flags, configuration, Roundhouse, signals. Nothing else. */

import { type Command, HELP, parseCommand } from "./src/cli.ts";
import { describeConfig } from "./src/config/describe.ts";
import { loadConfig, type Loaded } from "./src/config/load.ts";
import { ConfigPersistence } from "./src/config/persist.ts";
import { jsonSchema } from "./src/config/schema.ts";
import { ConfigError, messageOf, UsageError } from "./src/errors.ts";
import { type Log, type Logging, setUpLog } from "./src/log.ts";
import { Roundhouse } from "./src/roundhouse.ts";
import { runTop } from "./src/top/top.ts";
import { checkCertificateFiles } from "./src/tls/check.ts";
import { BUILD, VERSION } from "./src/version.ts";
import { watchFile } from "./src/watch.ts";
import { WORKER_URL } from "./src/workers/worker_url.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Variables that would redirect the runtime's own sockets: `fetch` obeys the first three, `Deno.serve` the last. */
const MEDDLING_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DENO_SERVE_ADDRESS"];

async function main(args: readonly string[]): Promise<number> {
  for (const name of MEDDLING_VARIABLES) {
    Deno.env.delete(name);
    Deno.env.delete(name.toLowerCase());
  }
  const command = parseCommand(args);
  switch (command.kind) {
    case "help":
      return print(HELP);
    case "version":
      return print(`roundhouse ${VERSION}${BUILD && ` (${BUILD})`}\n`);
    case "schema":
      return print(jsonSchema());
    case "check":
      return check(command);
    case "top":
      return await top(command.adminUrl);
    case "run":
      return await run(command);
  }
}

type ConfiguredCommand = Extract<Command, { configPath: string | undefined }>;

function load({ configPath, overrides }: ConfiguredCommand) {
  return loadConfig({ path: configPath, flags: overrides, env });
}

function env(name: string): string | undefined {
  return Deno.env.get(name);
}

function check(command: ConfiguredCommand): number {
  const { config, warnings } = load(command);
  const doubts = checkCertificateFiles(config, new Date());
  for (const warning of [...warnings, ...doubts]) console.error(`warning: ${warning}`);
  return print(describeConfig(config).join("\n") + "\n");
}

/** Watches until a signal ends it. */
async function top(adminUrl: string): Promise<number> {
  const stop = new AbortController();
  for (const signal of [...STOP_SIGNALS, "SIGHUP"] as const) Deno.addSignalListener(signal, () => stop.abort());
  const token = env("ROUNDHOUSE_ADMIN_TOKEN") || undefined;
  await runTop({ adminUrl, token, signal: stop.signal, hasColour: (env("NO_COLOR") ?? "") === "" });
  return 0;
}

/** Runs until a signal ends it; resolves with the exit status. */
async function run(command: ConfiguredCommand): Promise<number> {
  const loaded = load(command);
  if (command.watchConfig && loaded.path === null) {
    throw new ConfigError(["--watch-config: got no file, want one to watch"]);
  }
  const logging = setUpLog(loaded.config.log);
  try {
    await serve(command, loaded, logging);
  } finally {
    await logging.close();
  }
  return 0;
}

/** From the start to the end of a graceful stop. */
async function serve(command: ConfiguredCommand, loaded: Loaded, logging: Logging): Promise<void> {
  const { config, warnings, path } = loaded;
  const { log } = logging;
  const stopped = stopSignal();
  for (const warning of warnings) log.warn("configuration", { warning });
  const persistence = path === null ? undefined : new ConfigPersistence({ path, env });
  const roundhouse = await Roundhouse.start({
    config,
    log,
    version: VERSION,
    workerUrl: WORKER_URL,
    save: (backends) => persistence?.save(backends) ?? Promise.resolve(),
    load: () => load(command).config,
    reloaded: ({ log }) => logging.configure(log),
  });
  Deno.addSignalListener("SIGHUP", () => void reload(roundhouse, log));
  const watch = command.watchConfig && path !== null ? watchFile(path, () => void reload(roundhouse, log)) : undefined;
  const { proxyUrl: proxy, adminUrl: admin } = roundhouse;
  const file = path === null ? {} : { config: path };
  log.info("ready", { proxy, admin, ...file, version: VERSION, pid: Deno.pid });

  log.info("stopping", { signal: await stopped });
  await watch?.close();
  await roundhouse.stop();
  log.info("stopped", {});
}

/** The first signal to stop; a second one ends the process at once. */
function stopSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  let signals = 0;
  for (const signal of STOP_SIGNALS) {
    Deno.addSignalListener(signal, () => {
      if (++signals > 1) Deno.exit(1);
      resolve(signal);
    });
  }
  return promise;
}

/** Reads the configuration again; what is wrong with it is a line of the log each, and nothing changes. */
async function reload(roundhouse: Roundhouse, log: Log): Promise<void> {
  try {
    await roundhouse.reload();
  } catch (error) {
    const lines = error instanceof ConfigError ? error.lines : [messageOf(error)];
    for (const reason of lines) log.error("reload failed", { reason });
  }
}

function print(text: string): number {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
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
  // Whatever requests are still open past `timeouts.shutdown` end here.
  Deno.exit(await main(Deno.args).catch(report));
}

/** Parses commands and flags. */

import { parseArgs } from "@std/cli/parse-args";
import type { Overrides } from "../config/load.ts";
import { UsageError } from "../errors.ts";

/** What to do. */
export type Command =
  | {
    readonly kind: "run" | "check";
    readonly configPath: string | undefined;
    readonly overrides: Overrides;
    /** Reload when the file changes. */
    readonly watchConfig: boolean;
  }
  | {
    readonly kind: "top";
    /** The URL of the admin API: an origin with an optional base path. */
    readonly adminUrl: string;
  }
  | { readonly kind: "schema" | "version" | "help" };

export const HELP = `roundhouse - a load-balancing HTTP reverse proxy

Usage:
  roundhouse [run] [OPTIONS]         start the proxy and the admin API (the default command)
  roundhouse check [OPTIONS]         check the configuration and print what it means
  roundhouse schema                  print the JSON Schema of the configuration file
  roundhouse top [--admin URL]       show a running roundhouse; plain lines if piped
  roundhouse --version | --help

Options:
  -c, --config FILE        configuration file, - for standard input       [config.json if it exists]
  -b, --backend URL        a backend; may be repeated; replaces the list in the file
      --health PATH        how backends are checked: a path, tcp or none  [from the file]
      --host HOST          address that the proxy listens on              [from the file]
  -p, --port PORT          port of the proxy, 0 for any free one          [from the file]
      --admin-host HOST    address that the admin API listens on          [from the file]
      --admin-port PORT    port of the admin API, 0 for any free one      [from the file]
      --strategy NAME      how a backend is chosen                        [from the file]
      --engine NAME        how bytes are moved: fetch or wire             [from the file]
      --workers N|auto     number of workers; auto: one for each core     [from the file]
      --log-level LEVEL    debug, info, warn or error                     [info]
      --log-format FORMAT  text or json                                   [text]
      --watch-config       reload when the file changes                   [off]
      --admin URL          admin API that top connects to                 [http://127.0.0.1:8081]
  -h, --help               print this text
      --version            print the version

Environment variables: ROUNDHOUSE_CONFIG, ROUNDHOUSE_ADMIN_TOKEN, ROUNDHOUSE_LOG_LEVEL.
Flags override them; they override the file.
`;

const TEXT_FLAGS = [
  "config",
  "backend",
  "host",
  "port",
  "admin-host",
  "admin-port",
  "health",
  "strategy",
  "engine",
  "workers",
  "log-level",
  "log-format",
  "admin",
] as const;
const SWITCHES = ["help", "version", "watch-config"] as const;
const ALIASES = { c: "config", b: "backend", p: "port", h: "help" } as const;
const COMMANDS = ["run", "check", "schema", "top"] as const;

/** The URL of the admin API with the default configuration. */
const DEFAULT_ADMIN_URL = "http://127.0.0.1:8081";

/**
 * Reads the command line.
 *
 * @throws {UsageError} on an unknown command or flag, a flag without its value, a port or worker count that is no
 * number
 */
export function parseCommand(args: readonly string[]): Command {
  const flags = parseArgs([...args], {
    string: TEXT_FLAGS,
    boolean: SWITCHES,
    collect: ["backend"],
    alias: ALIASES,
    unknown: refuseUnknownFlag,
  });
  if (flags["help"] === true) return { kind: "help" };
  if (flags["version"] === true) return { kind: "version" };
  const [command = "run", ...rest] = flags._.map(String);
  const kind = COMMANDS.find((known) => known === command);
  if (kind === undefined) throw new UsageError(`unknown command ${command}`);
  if (rest.length > 0) throw new UsageError(`unexpected argument ${rest[0]}`);
  if (kind === "schema") return { kind };
  if (kind === "top") return { kind, adminUrl: adminUrlFrom(flags) };
  if (flags["admin"] !== undefined) throw new UsageError("--admin is an option of top only");
  return {
    kind,
    configPath: textFlag(flags, "config"),
    overrides: overridesFrom(flags),
    watchConfig: flags["watch-config"] === true,
  };
}

function refuseUnknownFlag(arg: string, key?: string): boolean {
  if (key !== undefined) throw new UsageError(`unknown option ${arg}`);
  return true; // a positional argument: the command
}

function overridesFrom(flags: Record<string, unknown>): Overrides {
  const backends = flags["backend"];
  const values = {
    backends: Array.isArray(backends) && backends.length > 0
      ? backends.map((url) => needValue("backend", url))
      : undefined,
    host: textFlag(flags, "host"),
    port: numberFlag(flags, "port"),
    adminHost: textFlag(flags, "admin-host"),
    adminPort: numberFlag(flags, "admin-port"),
    health: healthFlag(flags),
    strategy: textFlag(flags, "strategy"),
    engine: textFlag(flags, "engine"),
    workers: flags["workers"] === "auto" ? "auto" : numberFlag(flags, "workers"),
    logLevel: textFlag(flags, "log-level"),
    logFormat: textFlag(flags, "log-format"),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** The URL for `top`. Refuses all other options, because `top` does not use them. */
function adminUrlFrom(flags: Record<string, unknown>): string {
  const other = [...TEXT_FLAGS, ...SWITCHES].find((name) => {
    return name !== "admin" && flags[name] !== undefined && flags[name] !== false && Object(flags[name]).length !== 0;
  });
  if (other !== undefined) throw new UsageError(`top has no option --${other}`);
  const text = textFlag(flags, "admin") ?? DEFAULT_ADMIN_URL;
  const url = URL.parse(text);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) &&
    url.username + url.password + url.search + url.hash === "";
  if (!isPlain) throw new UsageError(`--admin wants an http:// or https:// URL, got ${text}`);
  return text;
}

function textFlag(flags: Record<string, unknown>, name: string): string | undefined {
  const value = flags[name];
  if (Array.isArray(value)) throw new UsageError(`--${name} may be given once`);
  return value === undefined ? undefined : needValue(name, value);
}

function numberFlag(flags: Record<string, unknown>, name: string): number | undefined {
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} wants a whole number, got ${text}`);
  return Number(text);
}

function healthFlag(flags: Record<string, unknown>): string | undefined {
  const health = textFlag(flags, "health");
  if (health === undefined || health === "tcp" || health === "none" || health.startsWith("/")) return health;
  throw new UsageError(`--health wants a path that begins with /, tcp or none, got ${health}`);
}

function needValue(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new UsageError(`--${name} wants a value`);
  return value;
}

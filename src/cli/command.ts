/** Parses commands and flags. */

import { parseArgs } from "@std/cli/parse-args";
import type { Overrides } from "../config/load.ts";
import { nearest } from "../config/nearest.ts";
import { UsageError } from "../errors.ts";
import { commandInfo, type CommandName, COMMANDS, isCommandName } from "./commands.ts";
import { choicesOf, COMMON_FLAGS, DEFAULT_ADMIN_URL, type Flag, FLAGS, isChoice } from "./flags.ts";

/** What to do. */
export type Command =
  | {
    readonly kind: "run" | "check" | "routes";
    readonly configPath: string | undefined;
    readonly overrides: Overrides;
    /** Reload when the file changes. */
    readonly watchConfig: boolean;
  }
  | {
    readonly kind: "top" | "reload" | "ready";
    /** The URL of the admin API: an origin with an optional base path. */
    readonly adminUrl: string;
  }
  | {
    readonly kind: "help";
    /** The command to explain. `undefined`: all of them. */
    readonly topic: CommandName | undefined;
  }
  | { readonly kind: "hash-password" | "schema" | "version" };

type Flags = Readonly<Record<string, unknown>>;

/** `HOST:PORT`, with a path perhaps: what stands for a URL with `http://` in front. */
const HOST_PORT = /^(\[[^\]]+\]|[^\s/:?#@\\[\]]+):\d+(\/.*)?$/;

/**
 * Reads the command line.
 *
 * @throws {UsageError} on an unknown command or flag, a flag without its value, a value that can't be meant
 */
export function parseCommand(args: readonly string[]): Command {
  const flags: Flags & { readonly _: readonly unknown[] } = parseArgs(joinDashes(args), {
    string: FLAGS.flatMap(({ name, value }) => value === undefined ? [] : [name]),
    boolean: FLAGS.flatMap(({ name, value }) => value === undefined ? [name] : []),
    collect: FLAGS.flatMap(({ name, isRepeatable }) => isRepeatable === true ? [name] : []),
    alias: Object.fromEntries(FLAGS.flatMap(({ name, short }) => short === undefined ? [] : [[short, name]])),
    unknown: refuseUnknownFlag,
  });
  const [first, ...rest] = flags._.map(String);
  if (first === "help") return { kind: "help", topic: topicFrom(rest) };
  const name = first === undefined || first === "version" ? "run" : commandNamed(first);
  if (flags["help"] === true) return { kind: "help", topic: first === undefined ? undefined : name };
  if (first === "version" || flags["version"] === true) return { kind: "version" };
  if (rest.length > 0) throw new UsageError(`unexpected argument ${rest[0]}`);
  return commandFrom(name, flags);
}

function commandFrom(name: CommandName, flags: Flags): Command {
  const own = commandInfo(name).flags;
  const foreign = FLAGS.find((flag) =>
    isGiven(flags[flag.name]) && !own.includes(flag) && !COMMON_FLAGS.includes(flag)
  );
  if (foreign !== undefined) throw new UsageError(`${name} has no option --${foreign.name}`);
  switch (name) {
    case "hash-password":
    case "schema":
      return { kind: name };
    case "top":
    case "reload":
    case "ready":
      return { kind: name, adminUrl: adminUrlFrom(flags) };
    case "run":
    case "check":
    case "routes":
      return {
        kind: name,
        configPath: textFlag(flags, "config"),
        overrides: overridesFrom(flags),
        watchConfig: flags["watch-config"] === true,
      };
  }
}

/** `--config -` as `--config=-`, because the parser takes a lone dash for an argument. */
function joinDashes(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const last = joined.at(-1);
    if (arg === "-" && last?.startsWith("--") && !last.includes("=")) joined[joined.length - 1] = `${last}=-`;
    else joined.push(arg);
  }
  return joined;
}

function commandNamed(word: string): CommandName {
  if (isCommandName(word)) return word;
  const known = [...Object.keys(COMMANDS), "help", "version"];
  throw new UsageError(`unknown command ${word}${didYouMean(word, known)}`);
}

function topicFrom(words: readonly string[]): CommandName | undefined {
  const [word, extra] = words;
  if (extra !== undefined) throw new UsageError(`unexpected argument ${extra}`);
  return word === undefined || word === "help" || word === "version" ? undefined : commandNamed(word);
}

function refuseUnknownFlag(arg: string, key?: string): boolean {
  if (key === undefined) return true; // a positional argument: the command
  const known = FLAGS.map(({ name }) => name);
  throw new UsageError(`unknown option ${arg}${arg.startsWith("--") ? didYouMean(key, known, "--") : ""}`);
}

function didYouMean(word: string, known: readonly string[], prefix = ""): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean ${prefix}${meant}?`;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && Object(value).length !== 0;
}

function overridesFrom(flags: Flags): Overrides {
  const backends = flags["backend"];
  const values = {
    backends: Array.isArray(backends) && backends.length > 0
      ? backends.map((url) => asUrl(needValue("backend", url)))
      : undefined,
    host: textFlag(flags, "host"),
    port: numberFlag(flags, "port"),
    adminHost: textFlag(flags, "admin-host"),
    adminPort: numberFlag(flags, "admin-port"),
    health: healthFlag(flags),
    strategy: choiceFlag(flags, "strategy"),
    engine: choiceFlag(flags, "engine"),
    workers: flags["workers"] === "auto" ? "auto" : numberFlag(flags, "workers"),
    logLevel: choiceFlag(flags, "log-level"),
    logFormat: choiceFlag(flags, "log-format"),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function asUrl(text: string): string {
  return HOST_PORT.test(text) ? `http://${text}` : text;
}

function adminUrlFrom(flags: Flags): string {
  const text = asUrl(textFlag(flags, "admin") ?? DEFAULT_ADMIN_URL);
  const url = URL.parse(text);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) &&
    url.username + url.password + url.search + url.hash === "";
  if (!isPlain) throw new UsageError(`--admin wants an http:// or https:// URL, or HOST:PORT, got ${text}`);
  return text;
}

function textFlag(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return value === undefined ? undefined : needValue(name, value);
}

function numberFlag(flags: Flags, name: string): number | undefined {
  const text = textFlag(flags, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} wants a whole number, got ${text}`);
  return Number(text);
}

function choiceFlag(flags: Flags, name: string): string | undefined {
  const text = textFlag(flags, name);
  const flag = FLAGS.find((flag: Flag) => flag.name === name);
  if (text === undefined || flag === undefined || isChoice(flag, text)) return text;
  const choices = choicesOf(flag);
  const meant = didYouMean(text.replace(/:.*$/, ":NAME"), choices);
  throw new UsageError(`--${name} wants one of ${choices.join(", ")}, got ${text}${meant}`);
}

function healthFlag(flags: Flags): string | undefined {
  const health = textFlag(flags, "health");
  if (health === undefined || health === "tcp" || health === "none" || health.startsWith("/")) return health;
  throw new UsageError(
    `--health wants a path that begins with /, tcp or none, got ${health}${didYouMean(health, ["tcp", "none"])}`,
  );
}

function needValue(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new UsageError(`--${name} wants a value`);
  return value;
}

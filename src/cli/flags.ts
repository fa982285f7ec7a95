/** The options of the command line: their names, what they take and what they mean. */

import { configSchema } from "../config/schema.ts";
import { type Setting, settingsRead } from "../config/setting.ts";

/** An option. */
export interface Flag {
  /** Without the two dashes. */
  readonly name: string;
  /** The letter that does for the name. */
  readonly short?: string;
  /** What stands for its value in the help. `undefined`: it takes none. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly isRepeatable?: boolean;
  /** What it means, in a line of the help. */
  readonly about: string;
  /** The setting that it overrides. Its default and its choices are those of the option. */
  readonly setting?: string;
  /** The default, where no setting has it. */
  readonly fallback?: string;
  /** Values with a part of their own, beside the choices of the setting: `header-hash:NAME`. */
  readonly openChoice?: string;
}

/** The URL of the admin API with the default configuration. */
export const DEFAULT_ADMIN_URL = "http://127.0.0.1:8081";

/** Where the configuration comes from, and what overrides it. */
export const CONFIG_FLAGS: readonly Flag[] = [
  {
    name: "config",
    short: "c",
    value: "FILE",
    about: "the configuration file; - reads standard input",
    fallback: "config.json if it exists",
  },
  {
    name: "backend",
    short: "b",
    value: "URL",
    isRepeatable: true,
    about: "a backend; may be repeated; replaces the list of the file; HOST:PORT means http://HOST:PORT; or unix:/PATH",
  },
  { name: "health", value: "PATH|tcp|none", about: "how backends are checked", fallback: "GET /" },
  { name: "host", value: "HOST", about: "the address that the proxy listens on, or unix:/PATH", setting: "proxy.host" },
  {
    name: "port",
    short: "p",
    value: "PORT",
    about: "the port of the proxy; 0 takes any free one",
    setting: "proxy.port",
  },
  { name: "admin-host", value: "HOST", about: "the address that the admin API listens on", setting: "admin.host" },
  {
    name: "admin-port",
    value: "PORT",
    about: "the port of the admin API; 0 takes any free one",
    setting: "admin.port",
  },
  {
    name: "strategy",
    value: "NAME",
    about: "how a backend is chosen",
    setting: "strategy",
    openChoice: "header-hash:NAME",
  },
  { name: "engine", value: "NAME", about: "how bytes are moved", setting: "engine" },
  {
    name: "workers",
    value: "N|auto",
    about: "how many isolates serve the port; auto: one for each core",
    setting: "proxy.workers",
  },
  { name: "log-level", value: "LEVEL", about: "the least level that is logged", setting: "log.level" },
  { name: "log-format", value: "FORMAT", about: "the form of a log line", setting: "log.format" },
  { name: "watch-config", about: "reload when the file changes", fallback: "off" },
];

/** How a client of the admin API reaches it. */
export const ADMIN_FLAGS: readonly Flag[] = [
  {
    name: "admin",
    value: "URL",
    about: "the admin API to talk to; HOST:PORT means http://HOST:PORT; or unix:/PATH",
    fallback: DEFAULT_ADMIN_URL,
  },
];

/** The options that every command takes. */
export const COMMON_FLAGS: readonly Flag[] = [
  { name: "help", short: "h", about: "print this help; with a command, the help of the command" },
  { name: "version", short: "V", about: "print the version" },
];

/** All options. */
export const FLAGS: readonly Flag[] = [...CONFIG_FLAGS, ...ADMIN_FLAGS, ...COMMON_FLAGS];

/** The values that an option takes, if they are few. Empty: it takes others. */
export function choicesOf(flag: Flag): readonly string[] {
  // The words of an enumeration are quoted JSON texts: `"text"` or `"json"`.
  const named = Array.from(settingOf(flag)?.words.matchAll(/`"([^"`]+)"`/g) ?? [], ([, word = ""]) => word);
  if (flag.openChoice !== undefined) return [...named, flag.openChoice];
  return named.length > 1 ? named : [];
}

/** Whether a value is one of the choices. */
export function isChoice(flag: Flag, value: string): boolean {
  if (choicesOf(flag).includes(value)) return true;
  const prefix = flag.openChoice?.replace(/[^:]+$/, "");
  return prefix !== undefined && value.startsWith(prefix);
}

/** What holds when the option is not given, and the file says nothing. */
export function defaultOf(flag: Flag): string | undefined {
  const fallback = flag.fallback ?? settingOf(flag)?.fallback;
  return fallback === undefined ? undefined : String(fallback);
}

function settingOf({ setting }: Flag): Setting | undefined {
  if (setting === undefined) return undefined;
  // None of them is inside of what is made later.
  return settingsRead(configSchema).find(({ path }) => path.join(".") === setting);
}

/** Finds the configuration, applies environment variables and flags, and checks the result. */
import { ConfigError, messageOf } from "../errors.ts";
import { mustBeRegular, readRegularFile } from "../regular_file.ts";
import { type Environment, substitute } from "./environment.ts";
import { parseJsonText } from "./json_text.ts";
import { isWithin, type Path, setAt, valueAt } from "./setting_path.ts";
import { type Origin, validateConfig, type Validated } from "./validate.ts";

/** What the command line sets. It overrides environment and file. A flag that was not given is `undefined`. */
export interface Overrides {
  /** URLs. They replace the list of the file. */
  readonly backends?: readonly string[] | undefined;
  readonly host?: string | undefined;
  /** 0 to 65535, as are all ports here; 0 takes any free one. */
  readonly port?: number | undefined;
  readonly adminHost?: string | undefined;
  readonly adminPort?: number | undefined;
  /** A path for HTTP checks, `tcp` or `none`. */
  readonly health?: string | undefined;
  readonly strategy?: string | undefined;
  readonly engine?: string | undefined;
  /** 1 to 256, or `"auto"`. */
  readonly workers?: number | string | undefined;
  readonly logLevel?: string | undefined;
  readonly logFormat?: string | undefined;
}

/** Where to look for a configuration. */
export interface LoadOptions {
  /** The file that the command line names, `-` for standard input; `undefined`: none named. */
  readonly path: string | undefined;
  readonly flags: Overrides;
  readonly env: Environment;
  /** Reads a file's text; throws `Deno.errors.NotFound` when there is none. Default: from the file system. */
  readonly readFile?: (path: string) => string;
  /** The text of standard input. */
  readonly readStdin: () => string;
}

/** A configuration ready for use. `path` is its file. `null`: there is no file to write to. */
export interface Loaded extends Validated {
  readonly path: string | null;
}

/**
 * Loads the configuration. Flags override the environment, the environment the file, the file the defaults. If no file
 * is named, it is `config.json`, if that exists. Throws a `ConfigError` with a line for each problem.
 */
export function loadConfig(options: LoadOptions): Loaded {
  const { text, source, path } = findText(options);
  const json = text === undefined ? { value: {}, diagnostics: [] } : parseJsonText(text, source);
  const { value, diagnostics, references } = substitute(json.value, options.env);
  const origins = override(value, options);
  // Values in the file that a flag replaces are not checked.
  const fromFile = (path: Path) => !origins.some((origin) => isWithin(path, origin.path));
  const validated = validateConfig(value, {
    source,
    hasFile: path !== null,
    origins,
    references: references.filter(fromFile),
    unreadable,
    diagnostics: [...json.diagnostics, ...diagnostics].filter((diagnostic) => fromFile(diagnostic.path)),
  });
  return { ...validated, path };
}

/** The name that stands for standard input in place of a file. */
export const STANDARD_INPUT = "-";

/** Where the configuration comes from, as the command line or the environment says. */
export function namedSource({ path, env }: Pick<LoadOptions, "path" | "env">): string | undefined {
  return path ?? nonEmpty(env("ROUNDHOUSE_CONFIG"));
}

interface Found {
  readonly text: string | undefined;
  readonly source: string;
  readonly path: string | null;
}

function findText(options: LoadOptions): Found {
  const { readFile = readRegularFile, readStdin } = options;
  const named = namedSource(options);
  if (named === STANDARD_INPUT) {
    const source = "standard input";
    return { text: readOrExplain(readStdin, source), source, path: null };
  }
  const source = named ?? "config.json";
  try {
    return { text: readOrExplain(() => readFile(source), source), source, path: source };
  } catch (error) {
    const absent = error instanceof ConfigError && error.cause instanceof Deno.errors.NotFound;
    if (absent && named === undefined) return { text: undefined, source: "configuration", path: null };
    throw error;
  }
}

function readOrExplain(readText: () => string, source: string): string {
  try {
    return readText();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${source}: can't be read: ${reasonOf(error)}`], { cause: error });
  }
}

/** Why a file that a setting names can't be read. */
function unreadable(file: string): string | undefined {
  try {
    mustBeRegular(file);
    Deno.openSync(file).close();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return "not permitted";
  return messageOf(error);
}

/** Writes the values of flags and environment into `raw`, and returns where each came from. */
function override(raw: unknown, { flags, env }: LoadOptions): Origin[] {
  const candidates: readonly (readonly [string, Path, unknown])[] = [
    ["--backend", ["backends"], flags.backends?.length === 0 ? undefined : flags.backends],
    // Beside it, `discover` would be an error.
    ["--backend", ["discover"], flags.backends?.length === 0 || flags.backends === undefined ? undefined : null],
    ["--host", ["proxy", "host"], flags.host],
    ["--port", ["proxy", "port"], flags.port],
    ["--workers", ["proxy", "workers"], flags.workers],
    ["--admin-host", ["admin", "host"], flags.adminHost],
    ["--admin-port", ["admin", "port"], flags.adminPort],
    ["ROUNDHOUSE_ADMIN_TOKEN", ["admin", "token"], nonEmpty(env("ROUNDHOUSE_ADMIN_TOKEN"))],
    ["--health", ["health", "type"], flags.health?.startsWith("/") ? "http" : flags.health],
    ["--health", ["health", "path"], flags.health?.startsWith("/") ? flags.health : undefined],
    ["--strategy", ["strategy"], flags.strategy],
    ["--engine", ["engine"], flags.engine],
    ["--log-level", ["log", "level"], flags.logLevel],
    [
      "ROUNDHOUSE_LOG_LEVEL",
      ["log", "level"],
      flags.logLevel === undefined ? nonEmpty(env("ROUNDHOUSE_LOG_LEVEL")) : undefined,
    ],
    ["--log-format", ["log", "format"], flags.logFormat],
  ];
  const origins: Origin[] = [];
  for (const [name, path, value] of candidates) {
    if (value === undefined) continue;
    const section = path.slice(0, -1);
    if (valueAt(raw, section) === undefined) setAt(raw, section, {});
    // Changes nothing if the file has something that is no object in place of the section. That is an error later.
    setAt(raw, path, value);
    origins.push({ path, name });
  }
  return origins;
}

/** Shells and container tools often pass an unset variable as an empty one. */
function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

/** Turns a configuration as written into one as used. Makes every check in order, and reports all problems at once. */
import { ConfigError } from "../errors.ts";
import { brokenRules, doubts } from "./cross_checks.ts";
import { engineMismatches } from "./engine_limits.ts";
import { readAsTyped } from "./environment.ts";
import { type Diagnostic, distinct, readWith } from "./diagnostics.ts";
import { type Config, configSchema } from "./schema.ts";
import { formatPath, isWithin, type Path, samePath, setAt, valueAt } from "./setting_path.ts";

/** A value that came from a flag or an environment variable. Error lines then name that instead of the path. */
export interface Origin {
  readonly path: Path;
  readonly name: string;
}

/** Where a configuration came from. */
export interface Provenance {
  /** The name of the configuration in error lines, for example the path of the file. */
  readonly source?: string;
  /** Whether there is a file that `admin.persist` could write to. */
  readonly hasFile?: boolean;
  readonly origins?: readonly Origin[];
  /** Settings whose text was one reference to an environment variable and nothing else. */
  readonly references?: readonly Path[];
  /** Why a file that a setting names can't be read; `undefined`: it can. Default: files are not looked at. */
  readonly unreadable?: (file: string) => string | undefined;
  /** What was found wrong before. The settings at these paths are not checked again. */
  readonly diagnostics?: readonly Diagnostic[];
}

/** A valid configuration, and a warning for each thing in it that is doubtful. */
export interface Validated {
  readonly config: Config;
  readonly warnings: readonly string[];
}

/**
 * Checks `raw`, a file's content as plain values, and does not change it. Throws a `ConfigError` with a line for each
 * problem.
 */
export function validateConfig(raw: unknown, provenance: Provenance = {}): Validated {
  const { source = "configuration", hasFile = false, origins = [], references = [], unreadable = () => undefined } =
    provenance;
  const nameOf = (path: Path) => origins.find((origin) => isWithin(path, origin.path))?.name ?? formatPath(path);
  const { config, diagnostics, written } = read(raw, references, provenance.diagnostics ?? []);
  if (config !== undefined) {
    const bad = diagnostics.map(({ path }) => path);
    const isTrusted = (path: Path) => !bad.some((outer) => isWithin(path, outer));
    const context = { hasFile, isTrusted, nameOf, unreadable, written };
    const found = [...brokenRules(config, context), ...isTrusted(["engine"]) ? engineMismatches(config) : []];
    diagnostics.push(...found.map(({ path, text }) => ({ path: asWritten(path, written), text })));
  }
  if (config === undefined || diagnostics.length > 0) {
    throw new ConfigError(distinct(diagnostics).map(({ path, text }) => `${nameOf(path) || source}: ${text}`));
  }
  return { config, warnings: doubts(config) };
}

interface ReadConfig {
  readonly config: Config | undefined;
  readonly diagnostics: Diagnostic[];
  /** What was read, without what was wrong in it. */
  readonly written: unknown;
}

/** The path of a setting in a route, which may be an entry, or the name of a pool, in place of a list of entries. */
function asWritten(path: Path, written: unknown): Path {
  const [top, key, index, ...rest] = path;
  if (top !== "routes" || key === undefined || index === undefined) return path;
  const route = [top, key];
  const entry = Array.isArray(valueAt(written, route)) ? [...route, index] : route;
  return typeof valueAt(written, entry) === "string" ? entry : [...entry, ...rest];
}

/**
 * Reads with the schema, removes what was wrong, and reads again. The rules between settings need a complete
 * configuration, and all problems must be reported at once.
 */
function read(raw: unknown, references: readonly Path[], earlier: readonly Diagnostic[]): ReadConfig {
  const working = structuredClone(raw);
  takeOut(working, earlier);
  const first = readWith(configSchema, working);
  if (!first.ok) {
    readAsTyped(
      working,
      references.filter((path) => first.diagnostics.some((diagnostic) => samePath(diagnostic.path, path))),
    );
  }
  const diagnostics = [...earlier];
  // The schema checks an object as a whole only when each of its settings is valid. A few rounds find everything.
  for (let round = 0; round < 5; round++) {
    const reading = readWith(configSchema, working);
    if (reading.ok) return { config: reading.value, diagnostics, written: working };
    diagnostics.push(...reading.diagnostics);
    takeOut(working, reading.diagnostics);
  }
  return { config: undefined, diagnostics, written: working };
}

function takeOut(working: unknown, diagnostics: readonly Diagnostic[]): void {
  for (const { path } of diagnostics) {
    const list = backendsIn(path);
    const isBackend = list !== undefined && path.length > list;
    if (isBackend && (path.length === list + 1 || path[list + 1] === "url")) {
      // A placeholder keeps the positions of the backends after it.
      setAt(working, path.slice(0, list + 1), `http://bad-backend-${path[list]}.invalid`);
    } else remove(working, wholeOf(path), isBackend ? list + 1 : 0);
  }
}

/** What is taken out together. Without one of its keys, a route, `auth`, `discover` or `acme` would be wrong for another reason. */
function wholeOf(path: Path): Path {
  if (path[0] === "routes") return path.slice(0, 2);
  if (path[0] === "auth") return path.slice(0, 1);
  if (path[0] === "proxy" && path[1] === "tls" && path[2] === "acme") return path.slice(0, 2);
  const owner = path[0] === "pools" ? 2 : 0;
  return path[owner] === "discover" ? path.slice(0, owner + 1) : path;
}

/** How long the path to the list of backends is, if the path leads into one. */
function backendsIn(path: Path): number | undefined {
  if (path[0] === "backends") return 1;
  return path[0] === "pools" && path[2] === "backends" ? 3 : undefined;
}

/** Removes a setting. If it is in a list, removes the whole list. `from`: positions before it may stay. */
function remove(raw: unknown, path: Path, from: number): void {
  const index = path.findIndex((step, position) => position >= from && typeof step === "number");
  const target = index === -1 ? path : path.slice(0, index);
  const holder = valueAt(raw, target.slice(0, -1));
  const key = target.at(-1);
  if (key !== undefined && typeof holder === "object" && holder !== null) Reflect.deleteProperty(holder, key);
}

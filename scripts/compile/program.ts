/** The program in the built file: bundled, with its version and the flags that it runs with. */

import { readLate, repaired } from "./repairs.ts";
import { step } from "./steps.ts";

/** The parts of `deno.json` that are used here. */
interface Settings {
  readonly version: string;
  readonly unstable: readonly string[];
  readonly permissions: { readonly default: Readonly<Record<string, boolean | readonly string[]>> };
}

/** A file of the program. */
export interface ProgramFile {
  /** Where it is now. */
  readonly path: string;
  /** What it is called beside the others. */
  readonly name: string;
  /** Whether the program or one of its workers begins with it. */
  readonly isEntry: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How the program and its runtime become one file. */
export type Form = "compiled" | "self-extracting";

/** The main modules of workers, and for each the module that says its URL, and by which name. */
const WORKERS = [
  { entry: "src/workers/worker.ts", module: "src/workers/worker_url.ts", name: "WORKER_URL" },
  {
    entry: "src/guards/passwords/bcrypt_worker.ts",
    module: "src/guards/passwords/bcrypt_worker_url.ts",
    name: "BCRYPT_WORKER_URL",
  },
] as const;

/** The entry modules: the main module, then the workers'. */
const ENTRIES = ["main.ts", ...WORKERS.map(({ entry }) => fileOf(entry))];

/** The sources of the entries and their types. Nothing else reaches the built file. */
const SOURCES = ["deno.json", "deno.lock", "main.ts", "src", "types"];

export const ROOT: URL = new URL("../../", import.meta.url);

const settings: Settings = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));

export const VERSION: string = settings.version;

/** The permissions and unstable features of `deno.json`, named one by one. */
export function runtimeFlags(): string[] {
  const permissions = Object.entries(settings.permissions.default).flatMap(([name, value]) => {
    if (value === false) return [];
    return [value === true ? `--allow-${name}` : `--allow-${name}=${[value].flat().join(",")}`];
  });
  return ["--no-prompt", ...settings.unstable.map((name) => `--unstable-${name}`), ...permissions];
}

/** The commit, with `-dirty` if files have changed since; empty if this is not a clone of the project. */
export async function commit(): Promise<string | undefined> {
  const prefix = await git("rev-parse", "--show-prefix");
  return prefix === "" ? await git("describe", "--always", "--dirty", "--exclude=*", "--abbrev=7") : undefined;
}

async function git(...args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("git", { args, cwd: ROOT, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Where the bundle is written. */
const OUTPUT = "bundle";

/**
 * Bundles a copy of the sources in `directory`, where the version module says how this file was built, and the URL of
 * each worker is that of its bundle: the bundler leaves `new URL(…, import.meta.url)` as it is. The entries come first,
 * then the modules that they share, or load only when they are needed. All are in one folder.
 */
export async function bundle(directory: string, form: Form): Promise<ProgramFile[]> {
  for (const source of SOURCES) await copy(new URL(source, ROOT), `${directory}/${source}`);
  const build = [await commit(), form].filter((part) => part !== undefined).join(", ");
  await Deno.writeTextFile(
    `${directory}/src/version.ts`,
    `export const VERSION: string = ${JSON.stringify(VERSION)};\nexport const BUILD: string = ${
      JSON.stringify(build)
    };\n`,
  );
  for (const { entry, module, name } of WORKERS) {
    const bundled = fileOf(entry).replace(/\.ts$/, ".js");
    const text = `export const ${name}: URL = new URL("./${bundled}", import.meta.url);\n`;
    await Deno.writeTextFile(`${directory}/${module}`, text);
    await Deno.writeTextFile(`${directory}/${fileOf(entry)}`, `import "./${entry}";\n`);
  }
  const flags = ["--quiet", "--minify", "--keep-names", "--check", "--code-splitting", "--outdir", OUTPUT];
  await step("checking and bundling", () => deno(["bundle", ...flags, ...ENTRIES], directory));
  return await programFiles(`${directory}/${OUTPUT}`, form);
}

/** The bundle's modules, the entries first. */
async function programFiles(folder: string, form: Form): Promise<ProgramFile[]> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(`${folder}/${name}`)));
  const whole = repaired(new Map(names.map((name, index) => [name, texts[index] ?? ""])));
  const modules = form === "self-extracting" ? readLate(whole) : whole;
  const entries = ENTRIES.map((entry) => entry.replace(/\.ts$/, ".js"));
  const files = [...entries, ...names.filter((name) => !entries.includes(name))].map((name) => {
    return {
      path: `${folder}/${name}`,
      name,
      isEntry: entries.includes(name),
      bytes: new TextEncoder().encode(modules.get(name)),
    };
  });
  await Promise.all(files.map(({ path, bytes }) => Deno.writeFile(path, bytes)));
  return files;
}

/** The name of an entry beside the main module, where the bundler puts it beside the others, too. */
function fileOf(entry: string): string {
  return entry.slice(entry.lastIndexOf("/") + 1);
}

async function copy(from: URL, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(new URL(`${from.href}/${encodeURIComponent(name)}`), `${to}/${name}`);
  }
}

/** A command of the runtime failed. The message is its output. */
export class DenoError extends Error {
  override readonly name = "DenoError";
}

/** Runs a command of the running `deno`. */
export async function deno(args: readonly string[], cwd: string): Promise<void> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], cwd, stdin: "null", env: { NO_COLOR: "1" } });
  const { success, stderr } = await command.output();
  if (!success) throw new DenoError(new TextDecoder().decode(stderr).trim());
}

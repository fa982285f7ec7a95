/** The program in the built file: bundled, with its version and the flags that it runs with. */

import { step } from "./steps.ts";

/** The parts of `deno.json` that are used here. */
interface Settings {
  readonly version: string;
  readonly unstable: readonly string[];
  readonly permissions: { readonly default: Readonly<Record<string, boolean | readonly string[]>> };
}

/** A file of the program, by its path under the program's directory. */
export interface ProgramFile {
  readonly path: string;
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

/** The entry modules: the main module, then the workers'. Each becomes a `.js` beside the others. */
const ENTRIES = ["main.ts", ...WORKERS.map(({ entry }) => entry)];

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

/** Some npm packages load modules of the runtime with `require`, which does not exist in a bundled module. */
const REQUIRE =
  `import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);\n`;

/**
 * Bundles a copy of the sources in `directory`, where the version module says how this file was built, and the URL of
 * each worker is that of its bundle: the bundler leaves `new URL(…, import.meta.url)` as it is.
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
    const text = `export const ${name}: URL = new URL("./${bundleOf(entry)}", import.meta.url);\n`;
    await Deno.writeTextFile(`${directory}/${module}`, text);
  }
  const files: ProgramFile[] = [];
  for (const entry of ENTRIES) {
    const path = bundleOf(entry);
    const args = ["bundle", "--quiet", "--minify", "--keep-names", "--check", "--output", path, entry];
    await step(`checking and bundling ${entry}`, () => deno(args, directory));
    await Deno.writeTextFile(`${directory}/${path}`, REQUIRE + await Deno.readTextFile(`${directory}/${path}`));
    files.push({ path, bytes: await Deno.readFile(`${directory}/${path}`) });
  }
  return files;
}

/** The file that an entry becomes. */
function bundleOf(entry: string): string {
  return `${entry.slice(entry.lastIndexOf("/") + 1).replace(/\.ts$/, "")}.js`;
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

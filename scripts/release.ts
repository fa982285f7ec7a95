/**
 * `deno task release`: all files of a release, in `dist/release`.
 *
 *     deno task release [--target TRIPLE]... [-o DIRECTORY]
 *
 * `docs/releasing.md` says what to do with them.
 */

import { parseArgs } from "@std/cli/parse-args";
import { build, TARGETS } from "./compile/build.ts";
import { NoRuntimeError } from "./compile/compiled.ts";
import { DenoError, ROOT, VERSION } from "./compile/program.ts";
import { type Member, tar } from "./compile/tar.ts";

const USAGE = `usage: deno task release [OPTIONS]
      --target TRIPLE    may be repeated; default: all five:
                         ${TARGETS.join("\n                         ")}
  -o, --output DIRECTORY [dist/release]`;

/** What a release consists of. */
interface Release {
  readonly directory: string;
  /** The names of the files in it. */
  readonly files: readonly string[];
  /** The targets whose runtime can't be had here. */
  readonly missing: readonly string[];
}

/** Builds all files anew. */
async function release(directory: string, targets: readonly string[]): Promise<Release> {
  await Deno.remove(directory, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(directory, { recursive: true });
  const files: string[] = [];
  const missing: string[] = [];
  for (const target of targets) {
    const file = `roundhouse-${VERSION}-${target}${target.includes("windows") ? ".exe" : ""}`;
    console.error(`${file}:`);
    try {
      await build({ selfContained: false, target, output: `${directory}/${file}` });
      files.push(file);
    } catch (error) {
      if (!(error instanceof NoRuntimeError)) throw error;
      missing.push(target);
    }
  }
  const image = `roundhouse-${VERSION}-image.tar`;
  await Deno.writeFile(`${directory}/${image}`, tar(await imageContext()).stream());
  files.push(image);
  await Deno.writeTextFile(`${directory}/SHA256SUMS`, await checksums(directory, files));
  return { directory, files: [...files, "SHA256SUMS"], missing };
}

/** What `docker build` needs: the Dockerfile, and what `Dockerfile.dockerignore` lets in. */
async function imageContext(): Promise<Member[]> {
  const members: Member[] = [await member("Dockerfile", new URL("deploy/Dockerfile", ROOT))];
  const rules = (await Deno.readTextFile(new URL("deploy/Dockerfile.dockerignore", ROOT))).split("\n");
  for (const rule of rules) {
    if (rule.startsWith("!")) { for await (const path of filesBelow(rule.slice(1))) members.push(await member(path)); }
  }
  return members;
}

async function member(path: string, file = new URL(path, ROOT)): Promise<Member> {
  return { path, bytes: await Deno.readFile(file), mode: 0o644 };
}

/** A file itself, or all files in a folder, in the order of their names, so that the archive is always the same. */
async function* filesBelow(path: string): AsyncGenerator<string> {
  if ((await Deno.stat(new URL(path, ROOT))).isFile) return yield path;
  const names = (await Array.fromAsync(Deno.readDir(new URL(path, ROOT)), ({ name }) => name)).sort();
  for (const name of names) yield* filesBelow(`${path}/${name}`);
}

/** As `sha256sum` writes them, and `sha256sum --check` reads them. */
async function checksums(directory: string, files: readonly string[]): Promise<string> {
  let text = "";
  for (const file of files) {
    const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${directory}/${file}`));
    text += `${new Uint8Array(digest).toHex()}  ${file}\n`;
  }
  return text;
}

async function report({ directory, files, missing }: Release): Promise<void> {
  for (const file of files) {
    const { size } = await Deno.stat(`${directory}/${file}`);
    console.log(`${directory}/${file}: ${size < 1e5 ? `${size} bytes` : `${(size / 1e6).toFixed(1)} MB`}`);
  }
  for (const target of missing) console.error(`left out: ${target}, because deno compile can't fetch its runtime`);
}

/** The options of the flags; a text is an error in them. */
function optionsFrom(args: readonly string[]): { directory: string; targets: readonly string[] } | string {
  const unknown: string[] = [];
  const flags = parseArgs([...args], {
    string: ["target", "output"],
    collect: ["target"],
    alias: { o: "output" },
    unknown: (argument) => (unknown.push(argument), false),
  });
  if (unknown.length > 0) return `unknown argument ${unknown[0]}`;
  const given = Array.isArray(flags["target"]) ? flags["target"].map(String) : [];
  const wrong = given.find((target) => !TARGETS.includes(target));
  if (wrong !== undefined) return `unknown target ${wrong}`;
  return { directory: String(flags["output"] ?? "dist/release"), targets: given.length > 0 ? given : TARGETS };
}

if (import.meta.main) {
  const options = optionsFrom(Deno.args);
  if (typeof options === "string") {
    console.error(`${options}\n${USAGE}`);
    Deno.exit(2);
  }
  try {
    await report(await release(options.directory, options.targets));
  } catch (error) {
    if (!(error instanceof DenoError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}

/** The self-extracting form: a shell head, then the running `deno` and the bundled program, compressed. */

import { bundle, runtimeFlags, VERSION } from "./program.ts";
import { step } from "./steps.ts";
import { MODIFIED_DAY, tar } from "./tar.ts";

/** The runtime's name in the archive: what `ps` and `top` show. */
const RUNTIME = "roundhouse";

/** Flags that keep the runtime from reading files beside the program or in the current folder, and from fetching. */
const ISOLATION = [
  "--quiet",
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--cached-only",
  "--node-modules-dir=none",
];

/**
 * Compiles every function when its module is loaded. The runtime keeps what is compiled then, and a start from the cache
 * takes a tenth less; functions that are compiled when they are first called are compiled anew by each process.
 */
const EAGERLY = "--v8-flags=--no-lazy";

/** `uname -sm` of the systems this form runs on. */
const SYSTEMS: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "Linux x86_64",
  "aarch64-unknown-linux-gnu": "Linux aarch64",
  "x86_64-apple-darwin": "Darwin x86_64",
  "aarch64-apple-darwin": "Darwin arm64",
};

/** Writes the executable to `output`. It runs on systems like this one. */
export async function buildSelfExtracting(output: string): Promise<void> {
  const system = SYSTEMS[Deno.build.target];
  if (system === undefined) throw new Error(`a self-extracting executable can't be made for ${Deno.build.target}`);
  const directory = await Deno.makeTempDir();
  try {
    const program = await bundle(directory, "self-extracting");
    const members = [
      ...program.map(({ name, bytes }) => ({ path: name, bytes, mode: 0o600 })),
      { path: RUNTIME, bytes: await Deno.readFile(Deno.execPath()), mode: 0o700 },
    ];
    const all = [...members, { path: "complete", bytes: new Uint8Array(), mode: 0o600 }];
    const archive = tar(all);
    // In the order of `ls`: that of their bytes.
    const listed = all.toSorted((a, b) => a.path < b.path ? -1 : 1);
    const script = head(await Deno.readTextFile(new URL("head.sh", import.meta.url)), {
      VERSION,
      SYSTEM: system,
      FILES: listed.map(({ path, bytes }) => `${bytes.length} ${MODIFIED_DAY} ${path}`).join(" "),
      NAMES: listed.map(({ path }) => path).join(" "),
      MOVES: all.map(({ path }) => path).join(" "),
      FLAGS: [...ISOLATION, EAGERLY, ...runtimeFlags()].join(" "),
      HASH: await sha256(archive),
    });
    await step("compressing the program and its runtime", () => write(output, script, archive));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Replaces each `@NAME@` in the script. The last is the length of the script. */
function head(template: string, values: Readonly<Record<string, string>>): string {
  const filled = template.replaceAll(/@([A-Z]+)@/g, (placeholder, name: string) => values[name] ?? placeholder);
  // A fixed width, so that the number does not change the length that it states.
  const offset = filled.replace("@OFFSET@", " ".repeat(8)).length + 1;
  const script = filled.replace("@OFFSET@", String(offset).padEnd(8));
  const left = /@[A-Z]+@/.exec(script);
  if (left !== null) throw new Error(`nothing to put in the place of ${left[0]}`);
  return script;
}

/** Writes a new file beside the old one and renames it, so that a running program is not changed. */
async function write(output: string, script: string, archive: Blob): Promise<void> {
  const partial = `${output}.partial`;
  await Deno.writeTextFile(partial, script);
  await Deno.writeFile(partial, archive.stream().pipeThrough(new CompressionStream("gzip")), { append: true });
  await Deno.chmod(partial, 0o755);
  await Deno.rename(partial, output);
}

async function sha256(archive: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await archive.arrayBuffer()));
  return digest.toHex();
}

/**
 * `deno task compile`: one executable file with the program and its runtime.
 *
 *     deno task compile [--self-contained] [--target TRIPLE] [-o FILE]
 *
 * `deno compile` makes it. If that can't fetch its runtime, a self-extracting executable is made instead.
 */

import { parseArgs } from "@std/cli/parse-args";
import { build, type BuildOptions, TARGETS } from "./compile/build.ts";
import { NoRuntimeError } from "./compile/compiled.ts";
import { DenoError } from "./compile/program.ts";

const USAGE = `usage: deno task compile [OPTIONS]
      --self-contained   make the self-extracting form, which needs nothing but the running deno
      --target TRIPLE    build for another system (deno compile only):
                         ${TARGETS.join("\n                         ")}
  -o, --output FILE      [dist/roundhouse; with --target dist/roundhouse-TRIPLE]`;

/** The options of the flags; a text is an error in them. */
function optionsFrom(args: readonly string[]): BuildOptions | string {
  const unknown: string[] = [];
  const flags = parseArgs([...args], {
    boolean: ["self-contained"],
    string: ["target", "output"],
    alias: { o: "output" },
    unknown: (argument) => (unknown.push(argument), false),
  });
  if (unknown.length > 0) return `unknown argument ${unknown[0]}`;
  const selfContained = flags["self-contained"] === true;
  const target = flags["target"] === undefined ? undefined : String(flags["target"]);
  if (target !== undefined && !TARGETS.includes(target)) return `unknown target ${target}`;
  if (selfContained && target !== undefined && target !== Deno.build.target) {
    return "--self-contained builds for this system only";
  }
  const suffix = (target ?? Deno.build.target).includes("windows") ? ".exe" : "";
  const name = `dist/roundhouse${target === undefined ? "" : `-${target}`}${suffix}`;
  return { selfContained, target, output: String(flags["output"] ?? name) };
}

if (import.meta.main) {
  const options = optionsFrom(Deno.args);
  if (typeof options === "string") {
    console.error(`${options}\n${USAGE}`);
    Deno.exit(2);
  }
  try {
    await build(options);
  } catch (error) {
    if (!(error instanceof DenoError || error instanceof NoRuntimeError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
  const { size } = await Deno.stat(options.output);
  console.log(`${options.output}: ${(size / 1e6).toFixed(1)} MB`);
}

/** Builds the program as one executable file, in the form that can be had. */

import { buildCompiled, NoRuntimeError } from "./compiled.ts";
import type { Form } from "./program.ts";
import { buildSelfExtracting } from "./self_extracting.ts";

/** The systems that `deno compile` builds for. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];

export interface BuildOptions {
  /** Makes the self-extracting form in any case. */
  readonly selfContained: boolean;
  /** The system to build for. `undefined`: this one. */
  readonly target: string | undefined;
  /** The file to write. Its folder is made. */
  readonly output: string;
}

/**
 * Builds with `deno compile`. If that can't fetch its runtime for this system, makes a self-extracting executable
 * instead. Returns the form that was made.
 *
 * @throws {NoRuntimeError} if the runtime for another system can't be fetched
 */
export async function build({ selfContained, target, output }: BuildOptions): Promise<Form> {
  const path = output.startsWith("/") ? output : `${Deno.cwd()}/${output}`;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  if (!selfContained) {
    try {
      await buildCompiled(path, target);
      return "compiled";
    } catch (error) {
      const isOther = target !== undefined && target !== Deno.build.target;
      if (!(error instanceof NoRuntimeError) || isOther) throw error;
      console.error(`${error.message}: making a self-extracting executable instead`);
    }
  }
  await buildSelfExtracting(path);
  return "self-extracting";
}

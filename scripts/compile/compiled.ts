/** Builds the plain form with `deno compile`. */

import { bundle, deno, DenoError, runtimeFlags } from "./program.ts";
import { step } from "./steps.ts";

/** `deno compile` needs a runtime that is neither cached nor named by `DENORT_BIN`, and can't fetch it. */
export class NoRuntimeError extends Error {
  override readonly name = "NoRuntimeError";
}

/** Where the file must be, so that SIGUSR2 can start it anew. It may run nothing else. */
const INSTALLED = ["/usr/local/bin/roundhouse", "/usr/bin/roundhouse"];

/**
 * Compiles the bundled program into `output`, for another system when `target` names one.
 *
 * @throws {NoRuntimeError} if the runtime can't be fetched
 */
export async function buildCompiled(output: string, target: string | undefined): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const [main, ...others] = await bundle(directory, "compiled");
    const args = [
      "compile",
      "--quiet",
      "--no-config",
      "--no-lock",
      "--no-check",
      ...runtimeFlags(),
      `--allow-run=${INSTALLED.join(",")}`,
      ...(target === undefined ? [] : ["--target", target]),
      ...others.filter(({ isEntry }) => isEntry).map(({ path }) => `--include=${path}`),
      "--output",
      output,
      main?.path ?? "",
    ];
    await step("compiling, which fetches the runtime the first time", () => deno(args, directory));
  } catch (error) {
    const isNamed = Deno.env.get("DENORT_BIN") !== undefined;
    if (error instanceof DenoError && !isNamed && /Setting up base binary|denort/.test(error.message)) {
      throw new NoRuntimeError("deno compile can't fetch its runtime, and DENORT_BIN is not set", { cause: error });
    }
    throw error;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

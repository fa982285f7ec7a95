/** The one-file form of roundhouse, as it is installed. */
import { run } from "./processes.ts";

/** Builds it into `directory` and starts it once, since its first start unpacks it. Returns its path. */
export async function buildFile(directory: string, signal: AbortSignal): Promise<string> {
  const path = `${directory}/roundhouse`;
  const script = new URL("../compile.ts", import.meta.url).pathname;
  await run({ command: Deno.execPath(), args: ["run", "-A", script, "--self-contained", "-o", path] }, signal);
  await run({ command: path, args: ["--version"], env: builtFileEnv(directory) }, signal);
  return path;
}

/** Where the built file unpacks itself: beside it, so that nothing stays behind. */
export function builtFileEnv(directory: string): Record<string, string> {
  return { XDG_CACHE_HOME: `${directory}/cache` };
}

/** How the program is started anew: the executable that is on disk now, with the same arguments. */

/** Set by a self-extracting file: its own path. The process itself runs the runtime that the file has unpacked. */
const EXECUTABLE = "ROUNDHOUSE_EXECUTABLE";

/** What the system remembers of our command line, with a NUL behind each word. */
const COMMAND_LINE = "/proc/self/cmdline";

/** @throws when the command is not known */
export function ownCommand(environment: Pick<typeof Deno.env, "get">): readonly string[] {
  const executable = environment.get(EXECUTABLE);
  if (executable) return [executable, ...Deno.args];
  if (Deno.build.standalone) return [Deno.execPath(), ...Deno.args];
  try {
    return Deno.readTextFileSync(COMMAND_LINE).split("\0").slice(0, -1);
  } catch (error) {
    throw new Error("started from source, the program needs --allow-all to start itself anew", { cause: error });
  }
}

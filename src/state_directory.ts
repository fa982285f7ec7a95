/** The folder in which roundhouse keeps what it made or learned, for its next start. */

/**
 * Returns the folder: `ROUNDHOUSE_STATE_DIR`, else systemd's `STATE_DIRECTORY`, else `roundhouse` in the user's folder for
 * state. `undefined`: there is none.
 *
 * @param env reads an environment variable
 */
export function stateDirectory(env: (name: string) => string | undefined): string | undefined {
  const own = env("ROUNDHOUSE_STATE_DIR");
  if (own) return own;
  const [given] = (env("STATE_DIRECTORY") ?? "").split(":"); // systemd joins several by colons
  if (given) return given;
  const stateHome = env("XDG_STATE_HOME");
  if (stateHome?.startsWith("/")) return `${stateHome}/roundhouse`; // the XDG standard ignores relative paths
  const home = env("HOME");
  return home ? `${home}/.local/state/roundhouse` : undefined;
}

/**
 * Why nothing can be kept at a path below the folder; `undefined`: it can.
 *
 * @param path `undefined`: there is no folder
 */
export function whyNotKept(path: string | undefined): string | undefined {
  if (path === undefined) return "none of ROUNDHOUSE_STATE_DIR, STATE_DIRECTORY, XDG_STATE_HOME and HOME is set";
  // Checked first, because the runtime would ask for the permission on the terminal.
  const { state } = Deno.permissions.querySync({ name: "write", path });
  return state === "granted" ? undefined : "writing there is not permitted (--allow-write)";
}

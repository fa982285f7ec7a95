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

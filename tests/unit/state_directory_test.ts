import { assertEquals } from "@std/assert";
import { stateDirectory } from "../../src/state_directory.ts";

Deno.test("stateDirectory() is our own, else systemd's, else the user's, else none", () => {
  const cases: [Record<string, string>, string | undefined][] = [
    [{ ROUNDHOUSE_STATE_DIR: "/state", STATE_DIRECTORY: "/var/lib/roundhouse" }, "/state"],
    [{ ROUNDHOUSE_STATE_DIR: "", STATE_DIRECTORY: "/var/lib/roundhouse", HOME: "/home/a" }, "/var/lib/roundhouse"],
    [{ STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }, "/var/lib/a"],
    [{ STATE_DIRECTORY: "", XDG_STATE_HOME: "/state", HOME: "/home/a" }, "/state/roundhouse"],
    [{ XDG_STATE_HOME: "relative", HOME: "/home/a" }, "/home/a/.local/state/roundhouse"],
    [{ XDG_STATE_HOME: "" }, undefined],
  ];
  for (const [env, expected] of cases) assertEquals(stateDirectory((name) => env[name]), expected);
});

// Sockets that are to be handed to another process or worker when hardly a descriptor is left.

import { assertEquals } from "@std/assert";

const PROGRAM = new URL("../support/scarce_sockets.ts", import.meta.url).pathname;

Deno.test("no lack of descriptors closes a socket that is to be handed on", async () => {
  // With one descriptor left, the offer of a socket closed it, and the port was closed until a restart. A worker that
  // failed at such a moment could never be replaced at a socket from systemd.
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `ulimit -n 80; exec "$@"`, "sh", Deno.execPath(), "run", "--allow-all", PROGRAM],
    stderr: "inherit",
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals(
    lines.map((line) => JSON.parse(line)),
    [0, 1, 2, 3, 4].map((spare) => ({ spare, offered: spare >= 2, accepts: true, heldOn: true })),
  );
});

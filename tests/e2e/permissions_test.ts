// The program with the permissions that docs/installation.md and `deno task start` give it, and no more.

import { assertEquals } from "@std/assert";
import { HttpsBackend, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

const root = new URL("../../", import.meta.url).pathname;

/** The command lines, as they are written down. */
const LINES = {
  "deno task start": JSON.parse(Deno.readTextFileSync(`${root}deno.json`)).tasks.start.command as string,
  "docs/installation.md":
    /^deno run .*--allow-read=.* main\.ts(?= )/m.exec(Deno.readTextFileSync(`${root}docs/installation.md`))
      ?.[0] ?? "",
};

for (const [name, line] of Object.entries(LINES)) {
  for (const [engine, workers] of [["fetch", 1], ["wire", 2]] as const) {
    Deno.test(`with the permissions of ${name}, engine ${engine} with ${workers} serves, and nothing is written`, async () => {
      // The runtime warned about permissions in a file at each start, and they let it write everywhere.
      assertEquals([line.startsWith("deno run --no-prompt --allow-"), / -[PA] |write/.test(line)], [true, false], line);
      await using backend = HttpBackend.named("served");
      using directory = new TemporaryDirectory();
      const config = directory.write("config.json", JSON.stringify({ backends: [backend.url] }));
      const command = line.replace("deno", Deno.execPath()).replace("/etc/roundhouse", directory.path);
      const binary = directory.write("roundhouse", `#!/bin/sh\ncd ${root}\nexec ${command} "$@"\n`);
      Deno.chmodSync(binary, 0o755);
      const args = ["-c", config, "-p", "0", "--admin-port", "0", "--engine", engine, "--workers", String(workers)];
      await using program = await Program.start(args, { binary });
      assertEquals(await (await fetch(program.url)).text(), "served");
      const reload = await fetch(`${program.adminUrl}/reload`, { method: "POST" });
      assertEquals([reload.status, (await reload.json()).restartNeeded], [200, []]);
      assertEquals(program.log.filter(({ level }) => ["stderr", "warn", "error"].includes(level)), []);
    });
  }
}

// Checks of such backends failed for want of a permission, with some settings always, with others where an operator has
// NODE_EXTRA_CA_CERTS in the environment. Tests of the modules have every permission, so they saw nothing.
Deno.test("with the program's permissions, backends pass checks over TLS with every setting", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const ca = directory.write("authority.pem", authority.cert);
  const pair = await makePair({ authority, name: "api.test" });
  await using named = new HttpsBackend(pair, () => new Response("ok"));
  await using other = new HttpsBackend(pair, () => new Response("ok"));
  const config = {
    engine: "wire",
    backends: [{ url: named.url, tls: { ca, serverName: "api.test" } }, { url: other.url, tls: { insecure: true } }],
    health: { type: "http", interval: "1s", startUp: false },
  };
  const args = ["-c", directory.write("config.json", JSON.stringify(config)), "-p", "0", "--admin-port", "0"];
  for (const env of [{}, { NODE_EXTRA_CA_CERTS: ca }]) {
    await using program = await Program.start([...args, "--engine", "wire"], { env });
    await waitFor(async () => {
      const { backends } = await (await fetch(`${program.adminUrl}/status`)).json();
      return backends.length === 2 && backends.every(({ alive }: { readonly alive: boolean }) => alive);
    }, { what: "checks that pass", timeoutMs: 30_000 });
  }
});

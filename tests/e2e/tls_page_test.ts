// The commands of docs/tls.md that need certificates of one's own do what the page shows.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { startBackend } from "../../scripts/backend.ts";
import { issue, issueAuthority } from "../support/chains.ts";
import { makeAuthority, makePair, type Pair, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { blocksOf, type Command, commandsOf, filesOf, readPage } from "../support/page.ts";
import { commandLine, Program } from "../support/program.ts";

const page = readPage("docs/tls.md");
const ignore = !["sh", "curl", "jq"].every(hasCommand);

/** The commands of the page whose text has all of these words, in its order. */
function commandsWith(...words: string[]): Command[] {
  const all = blocksOf(page).filter(({ kind }) => kind === "console").flatMap(({ text }) => commandsOf(text));
  const found = all.filter(({ command }) => words.every((word) => command.includes(word)));
  assert(found.length > 0, words.join());
  return found;
}

/** A folder with a file of the page, a program `roundhouse`, and certificates by the names of their two files. */
function folderWith(name: string, pairs: Readonly<Record<string, Pair>>): TemporaryDirectory {
  const folder = new TemporaryDirectory();
  folder.write(name, filesOf(page).get(name) ?? "");
  Deno.chmodSync(folder.write("roundhouse", `#!/bin/sh\nexec ${commandLine([]).join(" ")} "$@"\n`), 0o755);
  for (const [files, { cert, key }] of Object.entries(pairs)) {
    const [certFile = "", keyFile = ""] = files.split(" ");
    folder.write(certFile, cert);
    folder.write(keyFile, key);
  }
  return folder;
}

async function shell(command: string, { path }: TemporaryDirectory): Promise<string> {
  const env = { PATH: `${path}:${Deno.env.get("PATH")}`, NO_COLOR: "1" };
  const { stdout, stderr } = await new Deno.Command("sh", { args: ["-c", command], cwd: path, env, stdin: "null" })
    .output();
  const printed = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return printed.replaceAll(/^Warning Permissions in the config file.*\n/gm, "");
}

Deno.test("docs/tls.md: what check says of a key that belongs to another certificate", { ignore }, async () => {
  const [{ cert }, { key }] = [await makePair(), await makePair()];
  using folder = folderWith("own.json", { "fullchain.pem privkey.pem": { cert, key } });
  for (const { command, output } of commandsWith("check -c own.json")) {
    assertEquals(await shell(command, folder), output);
  }
});

Deno.test("docs/tls.md: what check says of the ends of several certificates", { ignore }, async () => {
  const one = await makePair({ name: "one.example" });
  const two = await makePair({ name: "two.example", names: ["*.two.example"] });
  using folder = folderWith("several.json", { "one.pem one.key": one, "two.pem two.key": two });
  const undated = (text: string) => text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME");
  for (const { command, output } of commandsWith("check -c several.json")) {
    assertEquals(undated(await shell(command, folder)), undated(output));
  }
});

Deno.test("docs/tls.md: clients with and without a certificate", { ignore }, async () => {
  const [front, authority] = [await makeAuthority(), await issueAuthority()];
  const me = await issue("me", { issuer: authority });
  const pairs = { "fullchain.pem privkey.pem": await makePair({ authority: front }), "me.pem me.key": me };
  using folder = folderWith("clients.json", { ...pairs, "ca.pem ca.key": front, "clients.pem clients.key": authority });
  const backend = startBackend({ name: "one" });
  try {
    const config = await Deno.readTextFile(`${folder.path}/clients.json`);
    folder.write("clients.json", config.replace("127.0.0.1:9001", `127.0.0.1:${backend.port}`));
    const args = ["-c", "clients.json", "--engine", "wire", "--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
    await using program = await Program.start(args, { cwd: folder.path });
    const [refused, taken] = commandsWith("curl", "ca.pem");
    const real = (command: Command | undefined) =>
      command?.command.replace("localhost:8443", new URL(program.url).host) ?? "";
    assertEquals(await shell(real(refused), folder), refused?.output);
    const printed = await shell(real(taken), folder);
    assertEquals([printed.length, printed.slice(0, 4)], [taken?.output.length, taken?.output.slice(0, 4)]);
    assertMatch(printed, /^:MII[\w+/]+\n$/);
  } finally {
    await backend.stop();
  }
});

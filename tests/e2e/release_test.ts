// The files of a release: each is there, is what it says, and has its checksum.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import DENO_JSON from "../../deno.json" with { type: "json" };
import { TemporaryDirectory } from "../support/certificates.ts";
import { blocksOf, commandsOf, readPage } from "../support/page.ts";

const RELEASE = new URL("../../scripts/release.ts", import.meta.url).pathname;
const TARGET = Deno.build.target;
const { version } = DENO_JSON;

async function run(command: string, args: readonly string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], ...options }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test({
  name: "deno task release makes the program, the image's context and their checksums",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using folder = new TemporaryDirectory();
    const runtime = `${folder.path}/denort`;
    await Deno.copyFile(Deno.execPath(), runtime); // stands in for the real one: an executable of this system
    const output = `${folder.path}/release`;
    const args = ["run", "-A", RELEASE, "--target", TARGET, "-o", output];
    const made = await run(Deno.execPath(), args, { env: { DENORT_BIN: runtime, NO_COLOR: "1" } });
    assertEquals(made.code, 0, made.stderr);
    const binary = `roundhouse-${version}-${TARGET}`;
    const image = `roundhouse-${version}-image.tar`;
    const names = Array.from(Deno.readDirSync(output), ({ name }) => name).sort();
    assertEquals(names, ["SHA256SUMS", binary, image].sort());
    const [first] = blocksOf(readPage("docs/releasing.md"));
    const listed = commandsOf(first?.text ?? "").find(({ command }) => command === "ls dist/release")?.output.split(
      "\n",
    );
    assertEquals(names.filter((name) => !listed?.includes(name)), [], "docs/releasing.md begins with this example");
    const checked = await run("sha256sum", ["--check", "SHA256SUMS"], { cwd: output });
    assertEquals([checked.code, checked.stdout], [0, `${binary}: OK\n${image}: OK\n`]);
    assertEquals((Deno.statSync(`${output}/${binary}`).mode ?? 0) & 0o111, 0o111);

    const packed = (await run("tar", ["-tf", `${output}/${image}`])).stdout.trimEnd().split("\n");
    // What the Dockerfile copies, and the Dockerfile: neither tests nor anything of the machine that made it.
    assertEquals(
      new Set(packed.map((path) => path.split("/")[0])),
      new Set([
        ...["Dockerfile", "deno.json", "deno.lock", "main.ts", "scripts", "src", "types"],
      ]),
    );
    await Deno.mkdir(`${folder.path}/context`);
    await run("tar", ["-xf", `${output}/${image}`, "-C", `${folder.path}/context`]);
    const source = await Deno.readTextFile(`${folder.path}/context/src/version.ts`);
    assertEquals(source, await Deno.readTextFile(new URL("../../src/version.ts", import.meta.url)));
    assertStringIncludes(await Deno.readTextFile(`${folder.path}/context/Dockerfile`), "deno@");
  },
});

Deno.test("deno task release refuses unknown targets and options with status 2", async () => {
  for (
    const [args, line] of [[["--target", "pdp11"], /^unknown target pdp11\n/], [
      ["--fast"],
      /^unknown argument --fast\n/,
    ]] as const
  ) {
    const { code, stderr } = await run(Deno.execPath(), ["run", "-A", RELEASE, ...args], { env: { NO_COLOR: "1" } });
    assertEquals(code, 2);
    assertMatch(stderr, line);
  }
});

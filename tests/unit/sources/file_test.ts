// A file of backends while it is written, replaced, linked, removed and spoiled.

import { assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../src/net/clock.ts";
import { FileSource } from "../../../src/sources/file.ts";
import { hasCommand } from "../../support/has_command.ts";
import { Told } from "../../support/source.ts";
import { ManualClock } from "../../support/wait.ts";

const DAY = 86_400_000;

function watching(path: string, refreshMs = DAY): Told {
  return new Told(new FileSource({ path, refreshMs }, { clock: systemClock }));
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("FileSource tells the list at once, and anew when the file is written or replaced", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/list.json`;
    await Deno.writeTextFile(path, `["http://a"]`);
    await using told = watching(path);
    await told.finds("http://a");
    await Deno.writeTextFile(path, `["http://a", "http://b"]`);
    await told.finds("http://a", "http://b");
    await Deno.writeTextFile(`${path}.new`, `["http://c"]`);
    await Deno.rename(`${path}.new`, path);
    await told.finds("http://c");
    assertEquals(told.failures, []);
  });
});

Deno.test("FileSource follows a link to a folder that is swapped, as for a mounted ConfigMap", async () => {
  await inFolder(async (folder) => {
    for (const [name, url] of [["one", "http://a"], ["two", "http://b"]] as const) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/list.json`, JSON.stringify([url]));
    }
    await Deno.symlink("one", `${folder}/..data`);
    await Deno.symlink("..data/list.json", `${folder}/list.json`);
    await using told = watching(`${folder}/list.json`);
    await told.finds("http://a");
    await Deno.symlink("two", `${folder}/..new`);
    await Deno.rename(`${folder}/..new`, `${folder}/..data`);
    await told.finds("http://b");
  });
});

Deno.test("FileSource says why a file can't be used, keeps looking, and comes back by itself", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/list.json`;
    await using told = watching(path, 300);
    assertEquals(await told.fails(), `${path}: no such file`);
    await Deno.writeTextFile(path, `["http://a"]`);
    await told.finds("http://a");
    await Deno.writeTextFile(path, `["http://a", "http://a"]`);
    assertEquals(await told.fails(), `${path}: [1]: same backend as [0] (http://a)`);
    await Deno.writeTextFile(path, "[");
    assertMatch(await told.fails("JSON"), /^[^\n]+: want JSON: [^\n]+$/);
    await Deno.writeTextFile(path, "x".repeat(4 * 1024 * 1024 + 1));
    assertEquals(await told.fails("bytes"), `${path}: it has 4194305 bytes, want at most 4194304`);
    await Deno.remove(path);
    await Deno.mkdir(path);
    assertEquals(await told.fails("directory"), `${path}: it is a directory, want a regular file`);
    await Deno.remove(path);
    await Deno.writeTextFile(path, `[]`);
    await told.finds();
  });
});

Deno.test({
  name: "FileSource refuses a pipe instead of waiting for it",
  ignore: !hasCommand("mkfifo"),
  fn: async () => {
    await inFolder(async (folder) => {
      const path = `${folder}/list.json`;
      await new Deno.Command("mkfifo", { args: [path] }).output();
      await using told = watching(path);
      assertEquals(await told.fails(), `${path}: it is a pipe, want a regular file`);
    });
  },
});

/** Holds a lease on a file: whoever opens it waits until this ends. It says `held` when it has the lease. */
const LEASE = `import fcntl, signal, sys
signal.signal(signal.SIGIO, lambda *_: None)
file = open(sys.argv[1], "r+")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", end="", flush=True)
sys.stdin.read()
`;

Deno.test({
  name: "FileSource says so when a file can't be opened within 5 s, and goes on",
  ignore: Deno.build.os !== "linux" || !hasCommand("python3"),
  fn: async () => {
    // A pipe that took the place of the file between the look at it and its opening was waited for without end, and
    // nothing said that the list was old. The lease makes each opening wait in the same way.
    await inFolder(async (folder) => {
      const path = `${folder}/list.json`;
      await Deno.writeTextFile(path, `["http://a"]`);
      const args = ["-c", LEASE, path];
      const holder = new Deno.Command("python3", { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
      const output = holder.stdout.getReader();
      assertEquals(new TextDecoder().decode((await output.read()).value).trim(), "held");
      const clock = new ManualClock();
      await using told = new Told(new FileSource({ path, refreshMs: 100 }, { clock }));
      await clock.advance(5000);
      assertEquals(await told.fails(), `${path}: no answer within 5 s`);
      await holder.stdin.close();
      await Promise.all([holder.status, output.cancel()]);
      await clock.advance(100);
      await told.finds("http://a");
    });
  },
});

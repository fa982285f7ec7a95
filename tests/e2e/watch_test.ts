// --watch-config: every way in which the file can come to say something else, and what must not be taken for one.

import { assertEquals, assertMatch } from "@std/assert";
import { Program, runProgram } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

function settings(strategy: string, admin: Record<string, unknown> = {}): string {
  return JSON.stringify({
    proxy: { host: "127.0.0.1", port: 0 },
    admin: { port: 0, ...admin },
    health: { type: "none" },
    backends: ["http://10.0.0.1"],
    strategy,
  });
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function strategyOf(program: Program): Promise<string> {
  return (await (await fetch(`${program.adminUrl}/status`)).json()).strategy;
}

interface Way {
  readonly name: string;
  /** Puts a configuration into the folder; returns where the program is to find it. */
  prepare(folder: string): Promise<string>;
  change(folder: string): Promise<void>;
}

const NEXT = settings("random");

// With a watch on the folder of the path alone, all but the first two went unnoticed.
const WAYS: readonly Way[] = [
  {
    name: "a file written in place",
    async prepare(folder) {
      await Deno.writeTextFile(`${folder}/c.json`, settings("ip-hash"));
      return `${folder}/c.json`;
    },
    change: (folder) => Deno.writeTextFile(`${folder}/c.json`, NEXT),
  },
  {
    name: "a file that another replaces",
    async prepare(folder) {
      await Deno.writeTextFile(`${folder}/c.json`, settings("ip-hash"));
      return `${folder}/c.json`;
    },
    async change(folder) {
      await Deno.writeTextFile(`${folder}/next`, NEXT);
      await Deno.rename(`${folder}/next`, `${folder}/c.json`);
    },
  },
  {
    name: "a link's target in another folder",
    async prepare(folder) {
      await Deno.mkdir(`${folder}/elsewhere`);
      await Deno.writeTextFile(`${folder}/elsewhere/real.json`, settings("ip-hash"));
      await Deno.symlink("elsewhere/real.json", `${folder}/c.json`);
      return `${folder}/c.json`;
    },
    change: (folder) => Deno.writeTextFile(`${folder}/elsewhere/real.json`, NEXT),
  },
  {
    // As of a file mounted by itself: what is written under its other name is no event of its folder.
    name: "a file written under its other name",
    async prepare(folder) {
      await Deno.mkdir(`${folder}/elsewhere`);
      await Deno.writeTextFile(`${folder}/elsewhere/real.json`, settings("ip-hash"));
      await Deno.link(`${folder}/elsewhere/real.json`, `${folder}/c.json`);
      return `${folder}/c.json`;
    },
    change: (folder) => Deno.writeTextFile(`${folder}/elsewhere/real.json`, NEXT),
  },
  {
    name: "a folder that Kubernetes swaps",
    async prepare(folder) {
      await Deno.mkdir(`${folder}/..one`);
      await Deno.writeTextFile(`${folder}/..one/c.json`, settings("ip-hash"));
      await Deno.symlink("..one", `${folder}/..data`);
      await Deno.symlink("..data/c.json", `${folder}/c.json`);
      return `${folder}/c.json`;
    },
    async change(folder) {
      await Deno.mkdir(`${folder}/..two`);
      await Deno.writeTextFile(`${folder}/..two/c.json`, NEXT);
      await Deno.symlink("..two", `${folder}/..data_tmp`);
      await Deno.rename(`${folder}/..data_tmp`, `${folder}/..data`);
    },
  },
  {
    name: "a folder that is replaced",
    async prepare(folder) {
      await Deno.mkdir(`${folder}/now`);
      await Deno.writeTextFile(`${folder}/now/c.json`, settings("ip-hash"));
      return `${folder}/now/c.json`;
    },
    async change(folder) {
      await Deno.mkdir(`${folder}/next`);
      await Deno.writeTextFile(`${folder}/next/c.json`, NEXT);
      await Deno.rename(`${folder}/now`, `${folder}/before`);
      await Deno.rename(`${folder}/next`, `${folder}/now`);
    },
  },
];

for (const { name, prepare, change } of WAYS) {
  Deno.test(`--watch-config sees ${name}`, () =>
    withFolder(async (folder) => {
      await using program = await Program.start(["-c", await prepare(folder), "--watch-config"]);
      await change(folder);
      await program.logged("reload");
      assertEquals(await strategyOf(program), "random");
    }));
}

Deno.test("--watch-config sees a change that was made during the start", () =>
  withFolder(async (folder) => {
    // The watch took what it found after the start for what had been read before it.
    const path = `${folder}/c.json`;
    await Deno.writeTextFile(path, settings("ip-hash"));
    await using program = new Program(["-c", path, "--watch-config", "--workers", "2"]);
    await program.logged("backend added");
    await Deno.writeTextFile(path, NEXT);
    await program.logged("reload");
    assertEquals(await strategyOf(program), "random");
  }));

Deno.test("--watch-config sees a relative path's file, though the working directory has been replaced", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/now`);
    await Deno.mkdir(`${folder}/next`);
    await Deno.writeTextFile(`${folder}/now/config.json`, settings("ip-hash"));
    await Deno.writeTextFile(`${folder}/next/config.json`, NEXT);
    await using program = await Program.start(["--watch-config"], { cwd: `${folder}/now` });
    await Deno.rename(`${folder}/now`, `${folder}/before`);
    await Deno.rename(`${folder}/next`, `${folder}/now`);
    await program.logged("reload");
    assertEquals(await strategyOf(program), "random");
  }));

Deno.test("--watch-config takes what roundhouse wrote itself for no change, and an operator's edit beside it for one", () =>
  withFolder(async (folder) => {
    const path = `${folder}/c.json`;
    await Deno.writeTextFile(path, settings("ip-hash", { persist: true }));
    await using program = await Program.start(["-c", path, "--watch-config"]);
    const add = async (url: string) => {
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${program.adminUrl}/backends`, {
        method: "POST",
        headers,
        body: JSON.stringify({ url }),
      });
      await response.body?.cancel();
      assertEquals(response.status, 201);
    };
    await add("http://10.0.0.2");
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("ip-hash", "random"));
    await add("http://10.0.0.3"); // written over what the operator wrote, before that has been read
    await program.logged("reload");
    assertEquals(await strategyOf(program), "random");
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("random", "round-robin"));
    await waitFor(async () => await strategyOf(program) === "round-robin", {
      what: "the second edit",
      timeoutMs: 20_000,
    });
    await waitFor(() => program.log.filter(({ message }) => message === "reload").length > 1, { what: "its line" });
    const reloads = program.log.filter(({ message }) => message === "reload");
    assertEquals(reloads.map(({ added }) => added), [[], []]);
  }));

Deno.test("a configuration that is a pipe, a folder or a device is refused at once", () =>
  withFolder(async (folder) => {
    // Whoever opens a pipe waits for a writer: the check never ended, and a reload stopped the whole program.
    const pipe = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const kinds = [[pipe, "a pipe"], [folder, "a directory"], ["/dev/zero", "a device"]] as const;
    for (const [path, kind] of kinds) {
      for (const command of ["check", "run"]) {
        const { code, stderr } = await runProgram([command, "-c", path]);
        const line = `${path}: can't be read: it is ${kind}, want a regular file\n`;
        assertEquals([code, stderr], [1, line], command);
      }
    }
    const tls = JSON.stringify({ proxy: { tls: { cert: pipe, key: pipe } } });
    await Deno.writeTextFile(`${folder}/tls.json`, tls);
    const { code, stderr } = await runProgram(["check", "-c", `${folder}/tls.json`]);
    assertEquals(code, 1);
    assertMatch(stderr, /proxy\.tls\.cert: .*can't be read: it is a pipe/);
  }));

Deno.test("a pipe that takes the configuration's place fails reloads and changes, and stops nothing", () =>
  withFolder(async (folder) => {
    const path = `${folder}/c.json`;
    await Deno.writeTextFile(path, settings("ip-hash", { persist: true }));
    await using program = await Program.start(["-c", path, "--watch-config"]);
    await Deno.remove(path);
    await new Deno.Command("mkfifo", { args: [path] }).output();
    await program.logged("reload failed", { reason: `${path}: can't be read: it is a pipe, want a regular file` });
    const response = await fetch(`${program.adminUrl}/reload`, { method: "POST" });
    assertEquals([response.status, /it is a pipe/.test((await response.json()).detail)], [400, true]);
    const added = await fetch(`${program.adminUrl}/backends`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ url: "http://10.0.0.2" }),
    });
    assertEquals([added.status, (await added.json()).status], [500, 500]);
    assertEquals(await strategyOf(program), "ip-hash");
  }));

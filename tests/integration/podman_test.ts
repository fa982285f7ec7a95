// The real thing that speaks Docker's API: Podman. Containers can't be started everywhere, so they are only created.

import { assertEquals } from "@std/assert";
import { systemClock } from "../../src/net/clock.ts";
import { DockerApi } from "../../src/sources/docker/api.ts";
import { readContainers } from "../../src/sources/docker/containers.ts";
import { DockerSource } from "../../src/sources/docker/docker.ts";
import { hasCommand } from "../support/has_command.ts";
import { Told } from "../support/source.ts";
import { waitFor } from "../support/wait.ts";

const CONTAINERS = { label: "roundhouse.pool", value: "api", port: 8080, scheme: "http", network: null } as const;

/** `podman system service`, with a storage of its own. Dispose of it to end it. */
class Podman implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "podman" });
  #service: Deno.ChildProcess;

  constructor() {
    this.#service = this.#spawn();
  }

  get host(): string {
    return `unix://${this.#folder}/podman.sock`;
  }

  /** Whether it answers within a while. Without the rights that it wants, it ends at once. */
  async answers(): Promise<boolean> {
    let hasEnded = false;
    this.#service.status.then(() => hasEnded = true);
    using api = new DockerApi(this.host, systemClock);
    let answers = false;
    await waitFor(async () => {
      answers = await api.list(CONTAINERS, new AbortController().signal).then(() => true, () => false);
      return answers || hasEnded;
    }, { what: "podman", timeoutMs: 60_000 });
    return answers;
  }

  async run(...args: readonly string[]): Promise<boolean> {
    const { success } = await new Deno.Command("podman", { args: this.#args(args), ...QUIET }).output();
    return success;
  }

  async kill(): Promise<void> {
    this.#service.kill("SIGKILL");
    await this.#service.status;
  }

  restart(): void {
    this.#service = this.#spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.kill();
    } catch {
      // it has ended already
    }
    await Deno.remove(this.#folder, { recursive: true });
  }

  #spawn(): Deno.ChildProcess {
    const args = this.#args(["system", "service", "--time", "0", this.host]);
    return new Deno.Command("podman", { args, ...QUIET }).spawn();
  }

  #args(args: readonly string[]): string[] {
    const storage = ["--root", `${this.#folder}/root`, "--runroot", `${this.#folder}/run`, "--storage-driver", "vfs"];
    return ["--cgroup-manager", "cgroupfs", "--events-backend", "file", ...storage, ...args];
  }
}

const QUIET = { stdin: "null", stdout: "null", stderr: "null" } as const;

const ignore = !hasCommand("podman");
if (ignore) console.log("podman is not installed: tests of discovery by a real one are skipped");

Deno.test(
  { name: "docker: Podman's list and events are understood, and followed again after a restart", ignore },
  async () => {
    await using podman = new Podman();
    if (!await podman.answers()) return console.log("podman can't run here: skipped");
    const hurried = { ...systemClock, after: (ms: number, ready: () => void) => systemClock.after(ms / 10, ready) };
    await using source = new Told(
      new DockerSource({ ...CONTAINERS, host: podman.host }, { clock: hurried, random: Math.random }),
    );
    await source.finds();
    const label = `${CONTAINERS.label}=${CONTAINERS.value}`;
    if (await podman.run("create", "--name", "web-1", "--label", label, "--network", "none", "--rootfs", "/", "true")) {
      // It does not run, so it is no backend. Asked for all containers, Podman describes it as Docker would.
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path: podman.host.slice("unix://".length) } });
      const entries = await (await fetch("http://podman/containers/json?all=true", { client })).json();
      client.close();
      assertEquals([entries.length, readContainers(entries, CONTAINERS)], [1, []]);
    }
    const lists = source.lists.length;
    await waitFor(() => source.lists.length > lists, { what: "a list without an event", timeoutMs: 60_000 });
    assertEquals(source.failures, []);
    await podman.kill();
    await source.fails(/podman\.sock: .*(refused|No such file)/);
    podman.restart();
    await source.finds();
  },
);

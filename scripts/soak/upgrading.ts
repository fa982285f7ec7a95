/**
 * The part "upgrading": the program replaces itself by SIGUSR2 again and again, under load on kept connections and on new
 * ones. No request may fail, and all counts have to be 0 in the end.
 *
 * For engine wire. Runs only when it is named.
 */

import { HttpBackend } from "../../tests/support/http_backend.ts";
import { headerOf, RawClient } from "../../tests/support/raw_client.ts";
import { isAlive, Upgradable } from "../../tests/support/upgradable.ts";
import { waitFor } from "../../tests/support/wait.ts";
import type { Options } from "./options.ts";
import { pause } from "./pause.ts";

/** The name of the part. */
export const UPGRADING = "upgrading";

const CLIENTS = 8;
const WORKERS = 2;
/** An old process lets go of idle connections after 5 s. */
const REST_MS = 1000;
const SETTLE_LIMIT_MS = 20_000;

const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n";

/** Runs the part. Returns what was wrong. */
export async function runUpgrading({ engine, durationMs }: Options): Promise<string[]> {
  if (engine !== "wire") return [`part ${UPGRADING}: wants --engine wire`];
  console.log(`part ${UPGRADING}, ${Math.round(durationMs / 1000)} s`);
  await using backend = HttpBackend.named("served");
  const ports = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
  await using upgradable = await Upgradable.start([
    ...["-b", backend.url, "--engine", engine, "--workers", String(WORKERS), "--health", "none"],
    ...ports,
  ]);
  const { url, adminUrl } = upgradable.program;
  const load = new Load(Number(new URL(url).port));
  const pids = new Set([upgradable.pid]);
  const end = performance.now() + durationMs;
  while (performance.now() < end) {
    await upgradable.upgrade();
    pids.add(upgradable.pid);
    await pause(REST_MS);
  }
  const wrongs = await load.end();
  console.log(
    `  ${pids.size - 1} upgrades, ${load.answered} answers, the slowest after ${Math.round(load.worstMs)} ms`,
  );
  const others = [...pids].filter((pid) => pid !== upgradable.pid);
  const told = async (what: string, holds: () => boolean | Promise<boolean>) => {
    await waitFor(holds, { what, timeoutMs: SETTLE_LIMIT_MS }).catch((error) => wrongs.push(String(error)));
  };
  await told("the end of all old processes", () => others.every((pid) => !isAlive(pid)));
  await told("every count to be 0", async () => {
    const { requests, backends } = await (await fetch(`${adminUrl}/status`)).json();
    const isIdle = (backend: { readonly currentConnections: number }) => backend.currentConnections === 0;
    return requests.active === 0 && requests.queued === 0 && backends.every(isIdle);
  });
  await upgradable.stop();
  const isWrong = ({ level }: { readonly level: string }) => ["warn", "error", "stderr"].includes(level);
  wrongs.push(...upgradable.program.log.filter(isWrong).slice(0, 10).map((entry) => `log: ${JSON.stringify(entry)}`));
  return wrongs.map((wrong) => `${UPGRADING}: ${wrong}`);
}

/** Clients that send requests one after the other: half of them on connections that they keep. */
class Load {
  answered = 0;
  worstMs = 0;
  readonly #port: number;
  readonly #wrongs = new Map<string, number>();
  readonly #clients: Promise<unknown>;
  #isOn = true;

  constructor(port: number) {
    this.#port = port;
    this.#clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => this.#run(index % 2 === 0)));
  }

  /** Settles with what was wrong. */
  async end(): Promise<string[]> {
    this.#isOn = false;
    await this.#clients;
    return Array.from(this.#wrongs, ([what, times]) => `${what} (${times} times)`);
  }

  async #run(keeps: boolean): Promise<void> {
    let client: RawClient | undefined;
    const request = `${REQUEST}${keeps ? "" : "Connection: close\r\n"}\r\n`;
    while (this.#isOn) {
      const askedAt = performance.now();
      try {
        client ??= await RawClient.connect(this.#port);
        const answer = await client.request(request);
        if (answer?.status !== 200) this.#note(`answer ${answer?.status}, ${keeps ? "kept" : "new"} connection`);
        if (answer !== undefined && headerOf(answer, "connection") !== "close") continue;
      } catch (error) {
        this.#note(`no answer: ${error}`);
      } finally {
        this.answered++;
        this.worstMs = Math.max(this.worstMs, performance.now() - askedAt);
      }
      client?.close();
      client = undefined;
    }
    client?.close();
  }

  #note(wrong: string): void {
    this.#wrongs.set(wrong, (this.#wrongs.get(wrong) ?? 0) + 1);
  }
}

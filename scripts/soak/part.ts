/** Runs one part of the soak: the program, its backends and, stage after stage, its clients. */

import { makeAuthority, makePair, TemporaryDirectory } from "../../tests/support/certificates.ts";
import type { BackendUrls } from "./backends.ts";
import { addressOf, type Doors, type Targets } from "./doors.ts";
import { Helper } from "./helper.ts";
import type { HostileReport } from "./hostile.ts";
import type { MixedReport } from "./mixed.ts";
import type { Options } from "./options.ts";
import type { Part, Stage } from "./parts.ts";
import type { PoliteReport } from "./polite.ts";
import { Soaked } from "./soaked.ts";
import { pause } from "./pause.ts";

/** After this time, the program has seen all kinds of load. From then on, its memory should stay about the same. */
const WARM_UP_MS = 60_000;
const LOOK_EVERY_MS = 500;
/** The longest allowed wait of a polite client. */
const WORST_WAIT_MS = 1000;
/** The niceness of processes that make the load. The program, its backends and the polite clients go first. */
const NICE = 10;

export interface PartOptions extends Pick<Options, "engine" | "seed"> {
  readonly durationMs: number;
}

/** Runs a part. Returns what was wrong. */
export async function runPart(part: Part, options: PartOptions): Promise<string[]> {
  console.log(`part ${part.name}, ${Math.round(options.durationMs / 1000)} s`);
  using directory = new TemporaryDirectory();
  // A separate process serves the polite clients, so that the requests of hostile clients do not slow it down.
  using own = await Helper.start<BackendUrls, null>("./backends.ts", { seed: options.seed });
  using others = await Helper.start<BackendUrls, null>("./backends.ts", { seed: options.seed });
  const { serving, good, slow, bad } = others.begun;
  const pool = part.backends === "serving" ? [own.begun.serving, serving] : [good, { url: slow, weight: 2 }, ...bad];
  const authority = part.tls ? await makeAuthority() : undefined;
  const pair = authority === undefined ? undefined : directory.writePair(await makePair({ authority }));
  const redirect = pair === undefined ? undefined : freePort();
  const tls = pair === undefined || redirect === undefined ? null : { ...pair, redirectFrom: redirect };
  await using program = await Soaked.start({
    engine: options.engine,
    config: directory.write(
      "config.json",
      JSON.stringify({ ...settings(part, pool, tls, options.engine), ...mirrorFor(part, bad) }),
    ),
    openFiles: part.openFiles,
    healthy: [own.begun.serving, serving, good, slow],
  });
  const wrongs: string[] = [];
  const doors = program.doors({
    redirect,
    ownBackend: addressOf(own.begun.serving),
    authority: authority === undefined ? undefined : { cert: authority.cert },
    targets: part.backends === "serving" ? await targets(program, own.begun.serving, serving) : NO_TARGETS,
  });
  for (const stage of part.stages) {
    wrongs.push(...await program.ready());
    wrongs.push(...await runStage(stage, program, doors, options));
  }
  wrongs.push(...await program.end());
  await Promise.all([own.stop(), others.stop()]);
  return wrongs.map((wrong) => `${part.name}: ${wrong}`);
}

/** For parts that have only mixed clients, which do not use these. */
const NO_TARGETS: Targets = { polite: "/", smallChunks: "/", large: "/", upload: "/" };

async function targets(program: Soaked, own: string, others: string): Promise<Targets> {
  return {
    polite: await program.targetAt("/polite", own),
    smallChunks: await program.targetAt("/small-chunks", others),
    large: await program.targetAt("/large", others),
    upload: await program.targetAt("/upload", others),
  };
}

function settings({ backends: kind }: Part, backends: unknown, tls: object | null, engine: Options["engine"]): object {
  const header = engine === "wire" ? { header: "5s" } : {};
  const proxy = { host: "127.0.0.1", port: 0, tls };
  const common = { admin: { port: 0 }, backends, retries: { statuses: [503] } };
  if (kind === "serving") {
    return {
      ...common,
      proxy: { ...proxy, maxBodySize: "16MiB" },
      strategy: "uri-hash", // so that the backend of each target is known
      health: { type: "tcp", interval: "1s" },
      timeouts: { shutdown: "10s", ...header },
    };
  }
  return {
    ...common,
    proxy: { ...proxy, maxBodySize: "1MiB" },
    health: { type: "tcp", interval: "1s", timeout: "500ms" },
    timeouts: { connect: "500ms", response: "1s", shutdown: "10s", ...header },
  };
}

/** Where backends misbehave, all requests are copied to some more of these. Nobody may notice. */
function mirrorFor({ backends }: Part, bad: readonly string[]): object {
  if (backends === "serving") return {};
  const methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
  return { pools: { shadow: { backends: bad } }, mirror: { pool: "shadow", methods, maxBody: "256KiB" } };
}

/** Returns a free port. Port 0 can't be used, because the log does not tell the port of the redirect. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

async function runStage(
  stage: Stage,
  program: Soaked,
  doors: Doors,
  { durationMs, engine, seed }: PartOptions,
): Promise<string[]> {
  const order = { port: doors.proxy, seed, uploadsMayHang: engine === "fetch" };
  using mixed = stage.mixed ? await Helper.start<null, MixedReport>("./mixed.ts", order, NICE) : undefined;
  using stack = new DisposableStack();
  const hostile = await Promise.all(stage.hostile.map(async (kind) => {
    return stack.use(await Helper.start<null, HostileReport>("./hostile.ts", { kind, doors }, NICE));
  }));
  using polite = stage.polite === "absent" ? undefined : await Helper.start<null, PoliteReport>("./polite.ts", doors);
  const begunAt = performance.now();
  const lastsMs = durationMs * stage.share;
  for (let ranMs = 0; ranMs < lastsMs; ranMs = performance.now() - begunAt) {
    await pause(Math.min(LOOK_EVERY_MS, lastsMs - ranMs));
    await program.look(ranMs >= Math.min(WARM_UP_MS, lastsMs / 4));
  }
  const wrongs = polite === undefined ? [] : judge(await polite.stop(), stage.polite === "judged");
  for (const report of await Promise.all(hostile.map((helper) => helper.stop()))) {
    for (const [what, count] of Object.entries(report)) console.log(`  ${count} ${what}`);
  }
  if (mixed !== undefined) wrongs.push(...tell(await mixed.stop()));
  return wrongs;
}

/** Prints the waits of the polite clients. Returns what was wrong with them. */
function judge({ waits, wrongs, lateMs }: PoliteReport, isJudged: boolean): string[] {
  console.log(`  worst waits of polite clients, whose own process was late by ${lateMs} ms:`);
  for (const { what, requests, worstMs, renewed } of waits) {
    console.log(
      `    ${what}: ${worstMs} ms, ${requests} requests${renewed > 0 ? `, ${renewed} connections renewed` : ""}`,
    );
  }
  const found = Object.entries(wrongs).map(([wrong, count]) => `polite client, ${wrong} (${count} times)`);
  for (const { what, requests, worstMs, isJudged } of waits) {
    if (!isJudged) continue;
    if (requests === 0) found.push(`polite client, ${what}: not served once`);
    if (worstMs >= WORST_WAIT_MS) found.push(`polite client, ${what}: waited ${worstMs} ms`);
  }
  if (isJudged) return found;
  for (const line of found) console.log(`  expected here: ${line}`);
  return [];
}

function tell({ actions, summary, wrongs }: MixedReport): string[] {
  console.log(`  ${actions} actions of mixed clients: ${summary}`);
  const kinds = new Map<string, number>();
  for (const wrong of wrongs) kinds.set(wrong, (kinds.get(wrong) ?? 0) + 1);
  return [...kinds].slice(0, 20).map(([wrong, count]) => count === 1 ? wrong : `${wrong} (${count} times)`);
}

/**
 * The part "moving": two replicas under load, while backends come and go at random by DNS and etcd, and the Redis that
 * the replicas share is killed and frozen in turn. No request may fail, and none may reach a backend that was removed.
 *
 * Needs dnsmasq, etcd and redis-server. Runs only when it is named.
 */

import { TemporaryDirectory } from "../../tests/support/certificates.ts";
import { Dnsmasq } from "../../tests/support/dnsmasq.ts";
import { EtcdServer } from "../../tests/support/etcd_server.ts";
import { HttpBackend } from "../../tests/support/http_backend.ts";
import { Program } from "../../tests/support/program.ts";
import { RedisServer } from "../../tests/support/redis_server.ts";
import { waitFor } from "../../tests/support/wait.ts";
import type { Options } from "./options.ts";
import { seeded } from "./random.ts";
import { pause } from "./pause.ts";

/** The name of the part. */
export const MOVING = "moving";

const BACKENDS = 6;
/** Each source names at least so many at any time. */
const LEAST_NAMED = 2;
const CLIENTS = 4;
const REST_MS = 5;
/** Between two changes of a source, at most. */
const MOST_REST_MS = 2000;
/** How long Redis is away, and how long it is there, at most. */
const MOST_OUTAGE_MS = 8000;
/** A removal takes the time to live of the name, a look, and the drain. */
const REMOVAL_LIMIT_MS = 30_000;
const SETTLE_LIMIT_MS = 20_000;

type Random = () => number;

/** A backend that may be named by its source. */
class Member implements AsyncDisposable {
  named = false;
  /** Both replicas have removed it: no request may come. */
  #isRemoved = true;
  #strayed = 0;
  readonly #server: HttpBackend;

  constructor(port: number, hostname: string) {
    this.#server = new HttpBackend(
      (request) => {
        if (this.#isRemoved && !request.url.endsWith("/check")) this.#strayed++;
        return new Response("served");
      },
      port,
      hostname,
    );
  }

  get url(): string {
    return this.#server.url;
  }

  get port(): number {
    return this.#server.port;
  }

  get wrongs(): string[] {
    return this.#strayed === 0 ? [] : [`${this.url}: ${this.#strayed} requests after its removal`];
  }

  admit(): void {
    this.#isRemoved = false;
    this.named = true;
  }

  /** It has left both replicas. */
  forget(): void {
    this.#isRemoved = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

/** The members of one pool, and how its source is told of them. */
interface Source {
  readonly pool: string;
  readonly members: readonly Member[];
  readonly tell: (member: Member) => void | Promise<void>;
}

/** Runs it. Returns what was wrong. */
export async function runMoving({ engine, seed, durationMs }: Options): Promise<string[]> {
  const random = seeded(seed);
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(new TemporaryDirectory());
  const redis = stack.use(await RedisServer.start());
  const byName = membersAtOnePort(stack);
  const byKey = Array.from({ length: BACKENDS }, () => stack.use(new Member(0, "127.0.0.1")));
  const names = () => ({ "api.test": byName.filter(({ named }) => named).map(({ url }) => new URL(url).hostname) });
  for (const member of [...byName, ...byKey].filter((_, index) => index % 2 === 0)) member.admit();
  const dnsmasq = stack.use(await Dnsmasq.start(names()));
  const etcd = stack.use(await EtcdServer.start());
  const tellEtcd = (member: Member) =>
    member.named ? etcd.put(`/jobs/${member.port}`, member.url) : etcd.delete(`/jobs/${member.port}`);
  for (const member of byKey.filter(({ named }) => named)) await tellEtcd(member);
  const sources: readonly Source[] = [
    { pool: "default", members: byName, tell: () => dnsmasq.set(names()) },
    { pool: "jobs", members: byKey, tell: tellEtcd },
  ];
  const config = directory.write(
    "config.json",
    JSON.stringify({
      proxy: { host: "127.0.0.1", port: 0 },
      admin: { port: 0 },
      cluster: { redis: redis.url },
      health: { path: "/check", interval: "1s" },
      discover: { dns: "api.test", port: byName[0]?.port, server: dnsmasq.address, drain: "1s", keepFor: "5s" },
      pools: { jobs: { discover: { etcd: "/jobs/", endpoints: [etcd.url], drain: "1s", keepFor: "5s" } } },
      routes: { "*/*": "default", "*/jobs/*": "jobs" },
    }),
  );
  const replicas = await Promise.all(["1", "2"].map(async (workers, index) => {
    const env = { ROUNDHOUSE_STATE_DIR: `${directory.path}/state${index}` };
    return stack.use(await Program.start(["-c", config, "--engine", engine, "--workers", workers], { env }));
  }));
  return await underLoad({ replicas, sources, redis, random, durationMs });
}

/** With one port at several addresses, as a name in the DNS has them. */
function membersAtOnePort(stack: AsyncDisposableStack): readonly Member[] {
  const first = stack.use(new Member(0, "127.0.0.1"));
  const others = Array.from({ length: BACKENDS - 1 }, (_, index) => new Member(first.port, `127.0.0.${index + 2}`));
  return [first, ...others.map((member) => stack.use(member))];
}

interface Run {
  readonly replicas: readonly Program[];
  readonly sources: readonly Source[];
  readonly redis: RedisServer;
  readonly random: Random;
  readonly durationMs: number;
}

async function underLoad({ replicas, sources, redis, random, durationMs }: Run): Promise<string[]> {
  const until = performance.now() + durationMs;
  const isOn = () => performance.now() < until;
  const load = new Load(replicas, isOn);
  const counts: Record<string, number> = {};
  const count = (what: string) => counts[what] = (counts[what] ?? 0) + 1;
  const [ended] = await Promise.all([
    load.ended,
    outages(redis, random, isOn, count),
    ...sources.map((source) => changes(source, { replicas, random, isOn, count })),
  ]);
  console.log(`  ${load.answered} answers, the slowest after ${Math.round(load.worstMs)} ms`);
  for (const [what, times] of Object.entries(counts)) console.log(`  ${times} ${what}`);
  const wrongs = [...ended, ...sources.flatMap(({ members }) => members.flatMap((member) => member.wrongs))];
  for (const replica of replicas) wrongs.push(...await endOf(replica));
  return wrongs;
}

/** Adds and removes members at random, one at a time. */
async function changes(
  { pool, members, tell }: Source,
  { replicas, random, isOn, count }: {
    readonly replicas: readonly Program[];
    readonly random: Random;
    readonly isOn: () => boolean;
    readonly count: (what: string) => void;
  },
): Promise<void> {
  while (isOn()) {
    const member = members[Math.floor(random() * members.length)];
    if (member === undefined) return;
    if (!member.named) {
      member.admit();
      await tell(member);
      count(`backends added to ${pool}`);
    } else if (members.filter(({ named }) => named).length > LEAST_NAMED) {
      member.named = false;
      await tell(member);
      const isGone = async () =>
        (await Promise.all(replicas.map((replica) => has(replica, pool, member)))).every((is) => !is);
      await waitFor(isGone, { what: `${member.url} to be removed from ${pool}`, timeoutMs: REMOVAL_LIMIT_MS });
      await pause(100); // what a worker had sent before it knew may be on its way
      member.forget();
      count(`backends removed from ${pool}`);
    }
    await pause(random() * MOST_REST_MS);
  }
}

async function has({ adminUrl }: Program, pool: string, { url }: Member): Promise<boolean> {
  const { pools } = await (await fetch(`${adminUrl}/status`)).json();
  return pools[pool].backends.some((backend: { readonly url: string }) => backend.url === url);
}

/** Kills and freezes Redis in turn. */
async function outages(redis: RedisServer, random: Random, isOn: () => boolean, count: (what: string) => void) {
  for (let kills = true; isOn(); kills = !kills) {
    await pause(random() * MOST_OUTAGE_MS);
    if (kills) await redis.kill();
    else redis.freeze();
    await pause(random() * MOST_OUTAGE_MS);
    if (kills) await redis.restart();
    else redis.thaw();
    count(kills ? "times Redis was killed" : "times Redis was frozen");
  }
}

/** Clients that send GET requests to both pools of all replicas, one after the other. */
class Load {
  answered = 0;
  worstMs = 0;
  /** Settles with what was wrong. */
  readonly ended: Promise<string[]>;
  readonly #wrongs = new Map<string, number>();

  constructor(replicas: readonly Program[], isOn: () => boolean) {
    const targets = replicas.flatMap(({ url }) => [`${url}/`, `${url}/jobs/1`]);
    const clients = targets.flatMap((target) => Array.from({ length: CLIENTS }, () => this.#ask(target, isOn)));
    this.ended = Promise.all(clients).then(() =>
      Array.from(this.#wrongs, ([what, times]) => `${what} (${times} times)`)
    );
  }

  async #ask(target: string, isOn: () => boolean): Promise<void> {
    while (isOn()) {
      const askedAt = performance.now();
      try {
        const response = await fetch(target);
        const text = await response.text();
        if (response.status !== 200 || text !== "served") {
          this.#note(`answer ${response.status}: ${text.slice(0, 100)}`);
        }
      } catch (error) {
        this.#note(`no answer: ${error}`);
      }
      this.answered++;
      this.worstMs = Math.max(this.worstMs, performance.now() - askedAt);
      await pause(REST_MS);
    }
  }

  #note(wrong: string): void {
    this.#wrongs.set(wrong, (this.#wrongs.get(wrong) ?? 0) + 1);
  }
}

/** What is wrong with a replica after all clients have left. Ends it. */
async function endOf(replica: Program): Promise<string[]> {
  const wrongs: string[] = [];
  const isIdle = async () => {
    const { requests, pools } = await (await fetch(`${replica.adminUrl}/status`)).json();
    const backends = Object.values<{ readonly backends: readonly { readonly currentConnections: number }[] }>(pools)
      .flatMap(({ backends }) => backends);
    return requests.active === 0 && requests.queued === 0 &&
      backends.every(({ currentConnections }) => currentConnections === 0);
  };
  await waitFor(isIdle, { what: "every count to be 0", timeoutMs: SETTLE_LIMIT_MS })
    .catch((error) => wrongs.push(String(error)));
  const isWrong = ({ level, message }: Program["log"][number]) =>
    level === "error" || level === "stderr" || message === "backend down" || message === "attempt failed";
  wrongs.push(
    ...replica.log.filter(isWrong).slice(0, 10).map((entry) => `log: ${JSON.stringify(entry).slice(0, 300)}`),
  );
  replica.kill("SIGTERM");
  const { code } = await replica.status;
  return code === 0 ? wrongs : [...wrongs, `SIGTERM ended it with status ${code}`];
}

/** Replicas change backends while their store and the network between fail at random. No change that was done is lost. */

import { assert, assertEquals } from "@std/assert";
import { ClusterConflictError, StoreAwayError } from "../../src/cluster/errors.ts";
import { Replica } from "../support/cluster.ts";
import { hasCommand } from "../support/has_command.ts";
import { seededRandom } from "../support/random.ts";
import { RedisServer } from "../support/redis_server.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { waitFor } from "../support/wait.ts";

const URLS = ["http://a:1", "http://b:1"];
const STEPS = 40;

interface Member {
  readonly replica: Replica;
  readonly proxy: TcpProxy;
}

class Run {
  readonly redis: RedisServer;
  readonly members: readonly Member[];
  /** The weights that each backend may have: that of the last change, and those whose changes were refused since. */
  readonly possible = new Map(URLS.map((url) => [url, new Set([1])]));
  readonly #random: () => number;
  #weight = 1;

  constructor(redis: RedisServer, members: readonly Member[], random: () => number) {
    this.redis = redis;
    this.members = members;
    this.#random = random;
  }

  pick<T>(from: readonly [T, ...T[]] | readonly T[]): T {
    const found = from[Math.floor(this.#random() * from.length)];
    assert(found !== undefined);
    return found;
  }

  async change(): Promise<void> {
    const url = this.pick(URLS);
    const weight = this.#weight = this.#weight % 250 + 2;
    const possible = this.possible.get(url);
    assert(possible !== undefined);
    try {
      await this.pick(this.members).replica.change(url, { weight });
      possible.clear();
      possible.add(weight);
    } catch (error) {
      if (error instanceof ClusterConflictError) return;
      assert(error instanceof StoreAwayError, String(error));
      possible.add(weight); // the reply may have been lost
    }
  }

  async fail(): Promise<void> {
    const { proxy } = this.pick(this.members);
    const fault = this.pick(["split", "cut", "slow", "lose", "flush", "restart", "freeze"]);
    if (fault === "split") proxy.split();
    else if (fault === "cut") proxy.cut();
    else if (fault === "slow") proxy.delayMs = 100;
    else if (fault === "lose") proxy.dropsReplies = true;
    else if (fault === "freeze") {
      this.redis.freeze();
      await this.change();
      this.redis.thaw();
    } else {
      // What only the store knows is lost with it: some replica must have heard of the last change.
      await this.agree();
      await (fault === "flush" ? this.redis.ask("FLUSHALL") : this.redis.restart());
      await this.agree();
    }
  }

  /** Ends all faults, and waits until all replicas have the same state again. */
  async agree(): Promise<void> {
    for (const { proxy } of this.members) {
      proxy.join();
      proxy.delayMs = 0;
      if (!proxy.dropsReplies) continue;
      proxy.dropsReplies = false;
      proxy.cut();
    }
    await waitFor(() => new Set(this.members.map(stateOf)).size === 1 && this.members.every(isUp), {
      timeoutMs: 60_000,
      what: `agreement: ${this.members.map(stateOf).join(" / ")}`,
    });
  }
}

function isUp({ replica }: Member): boolean {
  return replica.isUp;
}

function stateOf({ replica }: Member): string {
  const { version, entries } = replica.cluster.status();
  return [version, ...replica.list(), ...entries.map(({ version }) => version)].join(" ");
}

Deno.test({
  name: "cluster: whatever fails, all replicas agree in the end, and no change that was done is lost",
  ignore: !hasCommand("redis-server"),
  async fn(test) {
    for (const seed of [1, 2, 3]) {
      await test.step(`seed ${seed}`, async () => {
        await using redis = await RedisServer.start();
        await using one = new TcpProxy(redis.port);
        await using two = new TcpProxy(redis.port);
        await using first = await Replica.start(one.url);
        await using second = await Replica.start(two.url);
        const random = seededRandom(seed);
        const run = new Run(redis, [{ replica: first, proxy: one }, { replica: second, proxy: two }], random);
        await run.agree();
        for (let step = 0; step < STEPS; step++) {
          const chance = random();
          await (chance < 0.2 ? run.fail() : chance < 0.35 ? run.agree() : run.change());
        }
        await run.agree();
        for (const [url, possible] of run.possible) {
          const [line = ""] = first.list().filter((line) => line.startsWith(url));
          assert(possible.has(Number(line.split(" ")[1])), `${line} is none of ${[...possible]}`);
        }
        assertEquals(first.list(), second.list());
      });
    }
  },
});

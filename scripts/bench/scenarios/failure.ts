/** A backend dies: how many requests fail, and which backends get its share. */
import { startBackends } from "../backends.ts";
import type { Ground, Running } from "../ground.ts";
import type { FixedRateOptions } from "../load/fixed_rate.ts";
import { applyFixedRate } from "../load/generators.ts";
import type { Scenario } from "../scenario.ts";

const perSecond = 1_000;
const connections = 32;
/** The time between the beginning of the load and the death of the backend. */
const healthySeconds = 1;
const loadSeconds = 5;
const countedSeconds = 1;
const backendCount = 3;
/** The load generator runs after this time. */
const generatorStartMs = 1_000;

/** One of three backends is killed under load. */
export const failure: Scenario = {
  name: "failure",
  title: "A backend dies",
  about: `GET at ${perSecond.toLocaleString("en")} requests a second with three backends. One of them is killed ` +
    "(`kill -9`). If the proxy can, it checks health every second and tries failed requests again. " +
    `The load continues for ${loadSeconds - healthySeconds} s. Then ${perSecond * countedSeconds} more requests are ` +
    "counted. Misplaced requests are those that a backend got beyond an equal share of the two backends that are left.",
  columns: [
    { key: "failed", title: "failed requests", digits: 0, range: true },
    { key: "lastFailureMs", title: "ms to the last failure", digits: 0, range: true },
    { key: "misplaced", title: "misplaced requests", digits: 1, range: true },
  ],
  usualSubjects: ["wire", "wire-2", "fetch", "haproxy", "nginx", "caddy"],
  mostRounds: 1,
  seconds: () => loadSeconds + countedSeconds + 3,
  async measure(subject, ground) {
    await using stack = new AsyncDisposableStack();
    const backends = await startBackends(backendCount, await ground.newDirectory(), stack, ground.signal);
    const setup = { watchful: true, backends: backends.map(({ port }) => port) };
    const running = stack.use(await ground.start(subject, setup));

    const beginAt = Date.now() + generatorStartMs;
    let killedAt = Infinity;
    const death = setTimeout(() => {
      killedAt = Date.now();
      backends[1]?.process.kill();
    }, generatorStartMs + healthySeconds * 1_000);
    stack.defer(() => clearTimeout(death));
    const { failedAt } = await load(running, { seconds: loadSeconds, beginAt }, ground);
    const afterwards = await load(running, { seconds: countedSeconds }, ground);
    const lastFailureMs = Math.max(0, ...failedAt.map((at) => at - killedAt));
    return { failed: failedAt.length, lastFailureMs, misplaced: misplaced(afterwards.bodies, backendCount - 1) };
  },
};

/** Each backend answers with its name. */
function load({ port }: Running, when: Pick<FixedRateOptions, "seconds" | "beginAt">, { signal }: Ground) {
  return applyFixedRate({ port, path: "/name", perSecond, warmUpSeconds: 0, connections, ...when }, signal);
}

/** How many answers should have come from other backends, if all `alive` backends had equal shares. */
export function misplaced(answers: Readonly<Record<string, number>>, alive: number): number {
  const counts = Object.values(answers);
  const share = counts.reduce((sum, count) => sum + count, 0) / alive;
  return counts.reduce((sum, count) => sum + Math.max(0, count - share), 0);
}

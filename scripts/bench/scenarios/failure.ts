/** A backend dies: how many requests fail, and where its share goes. */
import { startBackends } from "../backends.ts";
import type { Ground, Running } from "../ground.ts";
import type { FixedRateOptions } from "../load/fixed_rate.ts";
import { applyFixedRate } from "../load/generators.ts";
import type { Scenario } from "../scenario.ts";

const perSecond = 1_000;
const connections = 32;
/** Between the beginning of the load and the death. */
const healthySeconds = 1;
const loadSeconds = 5;
const countedSeconds = 1;
const backendCount = 3;
/** By then the load generator runs. */
const generatorStartMs = 1_000;

/** One of three backends is killed under load. */
export const failure: Scenario = {
  name: "failure",
  title: "A backend dies",
  about: `GET at ${perSecond.toLocaleString("en")} requests a second before three backends, one of which is killed ` +
    `(\`kill -9\`). Health is checked every second where the proxy can, and a failed request tried again where it can; ` +
    `the load goes on for ${loadSeconds - healthySeconds} s. Then ${perSecond * countedSeconds} more requests are ` +
    "counted: misplaced are those that a backend got beyond an equal share of the two that are left.",
  columns: [
    { key: "failed", title: "failed requests", digits: 0, range: true },
    { key: "lastFailureMs", title: "ms to the last failure", digits: 0, range: true },
    { key: "misplaced", title: "misplaced requests", digits: 1, range: true },
  ],
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

/** How many answers would have to come from another backend for equal shares, when there are `alive` of them. */
export function misplaced(answers: Readonly<Record<string, number>>, alive: number): number {
  const counts = Object.values(answers);
  const share = counts.reduce((sum, count) => sum + count, 0) / alive;
  return counts.reduce((sum, count) => sum + Math.max(0, count - share), 0);
}

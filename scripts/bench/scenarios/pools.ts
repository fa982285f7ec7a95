/** What very many pools cost: the time of a start, and memory. */
import { residentKiB } from "../proc.ts";
import type { Scenario } from "../scenario.ts";

const pools = 1_000;
/** The first checks of all backends are spread over three seconds. */
const restMs = 6_000;

/** Starts a new process for each measurement. */
export const manyPools: Scenario = {
  name: "pools",
  title: `${pools.toLocaleString("en")} pools`,
  about: `${
    pools.toLocaleString("en")
  } pools of 3 backends, a route to each, and health checks every 5 s. Only of roundhouse.`,
  ownOnly: true,
  usualSubjects: ["wire", "fetch"],
  mostRounds: 2,
  columns: [
    { key: "readyMs", title: "ms to ready", digits: 0, range: true },
    { key: "restMiB", title: "MiB at rest", digits: 0, range: true },
  ],
  seconds: () => restMs / 1_000 + 2,
  async measure(subject, ground) {
    await using running = await ground.start(subject, { pools, watchful: true });
    await new Promise((resolve) => setTimeout(resolve, restMs));
    return { readyMs: running.readyMs, restMiB: residentKiB(running.pid) / 1_024 };
  },
};

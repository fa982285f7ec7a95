/** Time from the start of a process until it accepts connections. */
import type { Scenario } from "../scenario.ts";

/** Measures the sources, and the file that users install. */
export const ready: Scenario = {
  name: "ready",
  title: "Time to ready",
  about:
    "The time from the start of the process until it accepts a connection. roundhouse is started from its sources " +
    "with `deno run`, and as the self-extracting file of `deno task compile --self-contained`, but not for the very " +
    "first time.",
  columns: [
    { key: "readyMs", title: "ms", digits: 0, range: true },
    { key: "builtMs", title: "ms, built file", digits: 0, range: true },
  ],
  chart: true,
  mostRounds: 2,
  seconds: () => 1,
  async measure(subject, ground) {
    const start = async (built: boolean) => {
      await using running = await ground.start(subject, { built });
      return running.readyMs;
    };
    return { readyMs: await start(false), builtMs: subject.own ? await start(true) : NaN };
  },
};

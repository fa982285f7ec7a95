/** Time from the start of a process until it takes connections. */
import type { Scenario } from "../scenario.ts";

/** Of the sources, and of the file that one installs. */
export const ready: Scenario = {
  name: "ready",
  title: "Time to ready",
  about: "From the start of the process until it accepts a connection. roundhouse: from its sources with `deno run`, " +
    "and as the self-extracting file of `deno task compile --self-contained`, not its very first start.",
  columns: [
    { key: "readyMs", title: "ms", digits: 0, range: true },
    { key: "builtMs", title: "ms, built file", digits: 0, range: true },
  ],
  chart: true,
  seconds: () => 1,
  async measure(subject, ground) {
    const start = async (built: boolean) => {
      await using running = await ground.start(subject, { built });
      return running.readyMs;
    };
    return { readyMs: await start(false), builtMs: subject.own ? await start(true) : NaN };
  },
};

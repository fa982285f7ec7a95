/** What routes and pools cost a request. */
import { answers } from "../backends.ts";
import type { Scenario } from "../scenario.ts";
import { measureLoad } from "./throughput.ts";

const connections = 64;
const pools = 10;

/** Small answers from the only pool, and from one of several. */
export const routed: Scenario = {
  name: "routed",
  title: "A request with a route",
  about: `GET requests with an answer of 60 bytes over ${connections} connections, without routes, and with ${pools} ` +
    "pools and a route to each. Only of roundhouse.",
  ownOnly: true,
  usualSubjects: ["wire", "fetch"],
  mostRounds: 2,
  columns: [
    { key: "ratio", title: "with : without", digits: 3, range: true },
    { key: "withMicros", title: "CPU µs/request, with", digits: 1 },
    { key: "withoutMicros", title: "without", digits: 1 },
  ],
  seconds: ({ seconds, warmUpSeconds }) => 4 * (seconds + warmUpSeconds),
  async measure(subject, ground) {
    const cpuMicros = async (pools: number) => {
      const running = await ground.running(subject, pools === 0 ? {} : { pools });
      const request = { url: running.origin + answers.small.path };
      const load = { connections, seconds: ground.pace.seconds };
      const { cpuMicros = NaN, badAnswers = NaN } = await measureLoad(running, request, load, ground);
      if (badAnswers > 0) throw new Error(`${badAnswers} answers had an error status`);
      return cpuMicros;
    };
    // In this order, so that neither is favoured when the machine becomes faster or slower meanwhile.
    const before = await cpuMicros(0);
    const withMicros = (await cpuMicros(pools) + await cpuMicros(pools)) / 2;
    const withoutMicros = (before + await cpuMicros(0)) / 2;
    return { withMicros, withoutMicros, ratio: withMicros / withoutMicros };
  },
};

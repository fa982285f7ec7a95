/** Many clients at the same time. */
import { answers } from "../backends.ts";
import type { Pace, Scenario } from "../scenario.ts";
import { measureLoad } from "./throughput.ts";

const connections = 2_000;
/** Needed because it takes some time until all connections are open. */
const leastSeconds = 5;

/** 2,000 busy connections. */
export const manyConnections: Scenario = {
  name: "connections",
  title: `${connections.toLocaleString("en")} connections`,
  about:
    `GET requests with an answer of 60 bytes. ${connections.toLocaleString("en")} connections are opened at once. ` +
    "Each sends its next request as soon as it has its answer. Errors are answers with status 400 or above, " +
    "connections that failed or broke, and requests without an answer for 10 s.",
  columns: [
    { key: "errors", title: "errors", digits: 0, range: true },
    { key: "cpuMicros", title: "CPU µs/request", digits: 1 },
    { key: "perSecond", title: "requests/s", digits: 0 },
    { key: "p50Ms", title: "p50 ms", digits: 1 },
    { key: "p99Ms", title: "p99 ms", digits: 1 },
    { key: "p999Ms", title: "p99.9 ms", digits: 1 },
  ],
  usualSubjects: ["wire", "wire-2", "fetch", "haproxy", "nginx"],
  mostRounds: 2,
  seconds: (pace) => secondsOf(pace) + pace.warmUpSeconds,
  async measure(subject, ground) {
    const running = await ground.running(subject);
    const load = { connections, seconds: secondsOf(ground.pace) };
    const figures = await measureLoad(running, { url: running.origin + answers.small.path }, load, ground);
    const { badAnswers = NaN, socketErrors = NaN, ...others } = figures;
    return { ...others, errors: badAnswers + socketErrors };
  },
};

function secondsOf({ seconds }: Pace): number {
  return Math.max(seconds, leastSeconds);
}

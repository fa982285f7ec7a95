/** Response times at a rate that every proxy can serve. Users feel these, unlike response times at full speed. */
import { answers } from "../backends.ts";
import { applyFixedRate } from "../load/generators.ts";
import type { Scenario } from "../scenario.ts";

const perSecond = 2_000;
const connections = 64;

/** GET at a fixed rate. */
export const fixedRate: Scenario = {
  name: "rate",
  title: `${perSecond.toLocaleString("en")} requests a second`,
  about:
    `GET requests with an answer of 60 bytes, sent at a fixed rate over ${connections} connections, whether answers ` +
    "arrive or not. If a request has to wait for a free connection, the wait counts.",
  columns: [
    { key: "p99Ms", title: "p99 ms", digits: 2, range: true, relative: true },
    { key: "p50Ms", title: "p50 ms", digits: 2 },
    { key: "p999Ms", title: "p99.9 ms", digits: 2 },
    { key: "maxMs", title: "max ms", digits: 1 },
    { key: "cpuMicros", title: "CPU µs/request", digits: 1 },
    { key: "failed", title: "failed requests", digits: 0, trouble: true },
  ],
  chart: true,
  usualSubjects: ["wire", "wire-2", "fetch", "haproxy", "nginx"],
  seconds: ({ seconds, warmUpSeconds }) => seconds + warmUpSeconds,
  async measure(subject, ground) {
    const { pid, port } = await ground.running(subject);
    const load = {
      ...{ port, path: answers.small.path, perSecond, connections },
      seconds: ground.pace.seconds,
      warmUpSeconds: ground.takeWarmUp(pid, "rate"),
    };
    const { result, userMicros, systemMicros } = await ground.withCpuTime(
      pid,
      () => applyFixedRate(load, ground.signal),
    );
    return {
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      p999Ms: result.p999Ms,
      maxMs: result.maxMs,
      cpuMicros: (userMicros + systemMicros) / result.requests,
      failed: result.failedAt.length,
    };
  },
};

/** The cost of a WebSocket message and its echo. */
import { applyWebSocket } from "../load/generators.ts";
import type { Scenario } from "../scenario.ts";

const connections = 64;
const bytes = 60;

/** Echoed messages. */
export const websocket: Scenario = {
  name: "websocket",
  title: "WebSocket echo",
  about:
    `Text messages of ${bytes} bytes on ${connections} connections, which the backend echoes. Each connection sends ` +
    "the next message as soon as it has the echo of the last one. The cost includes both directions.",
  columns: [
    { key: "cpuMicros", title: "CPU µs/echo", digits: 1, range: true, relative: true },
    { key: "userMicros", title: "user", digits: 1 },
    { key: "systemMicros", title: "system", digits: 1 },
    { key: "perSecond", title: "echoes/s", digits: 0, range: true },
    { key: "p50Ms", title: "p50 ms", digits: 2 },
    { key: "p99Ms", title: "p99 ms", digits: 2 },
    { key: "p999Ms", title: "p99.9 ms", digits: 2 },
  ],
  chart: true,
  usualSubjects: ["wire", "fetch", "haproxy", "nginx", "caddy"],
  seconds: ({ seconds, warmUpSeconds }) => seconds + warmUpSeconds,
  async measure(subject, ground) {
    const { pid, port } = await ground.running(subject, { backends: await ground.echoBackends() });
    const { seconds } = ground.pace;
    const warmUp = ground.takeWarmUp(pid, "websocket");
    await applyWebSocket({ port, connections, bytes, seconds: warmUp }, ground.signal);
    const { result, userMicros, systemMicros } = await ground.withCpuTime(
      pid,
      () => applyWebSocket({ port, connections, bytes, seconds }, ground.signal),
    );
    return {
      cpuMicros: (userMicros + systemMicros) / result.messages,
      userMicros: userMicros / result.messages,
      systemMicros: systemMicros / result.messages,
      perSecond: result.messages / seconds,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      p999Ms: result.p999Ms,
    };
  },
};

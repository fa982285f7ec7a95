/** Resident memory: at rest, under load, and for each idle connection. */
import { answers } from "../backends.ts";
import type { Ground, Running } from "../ground.ts";
import { Connection, getRequest } from "../load/connection.ts";
import { residentKiB } from "../proc.ts";
import type { Scenario } from "../scenario.ts";
import { applyLoad } from "../wrk.ts";

/** The first connections are not counted: they bring buffers and code that are needed for any number. */
const firstIdle = 1_000;
const countedIdle = 2_000;
/** How many are opened at the same time. */
const batch = 50;
/** Time for garbage collectors and allocators to come to rest. */
const restMs = 1_500;
const samplingMs = 100;
const loadConnections = 64;

/** Starts a new process for each measurement. */
export const memory: Scenario = {
  name: "memory",
  title: "Memory",
  about:
    "Resident memory of all processes of the proxy. At rest: after its start. Idle connections: each is opened, used " +
    `for one request and left open. ${firstIdle.toLocaleString("en")} are opened first; the growth with ` +
    `${countedIdle.toLocaleString("en")} more is counted. Under load: the largest memory during small requests over ` +
    `${loadConnections} connections.`,
  columns: [
    { key: "idleKiB", title: "KiB per idle connection", digits: 1, range: true },
    { key: "restMiB", title: "MiB at rest", digits: 0 },
    { key: "loadMiB", title: "MiB under load", digits: 0 },
    { key: "idleMiB", title: "MiB with 3,000 idle connections", digits: 0 },
  ],
  chart: true,
  usualSubjects: ["wire", "wire-2", "fetch", "haproxy", "nginx"],
  mostRounds: 2,
  seconds: ({ seconds }) => seconds + 4 * restMs / 1_000 + 2,
  async measure(subject, ground) {
    await using running = await ground.start(subject);
    const restMiB = await settledMiB(running);
    const before = await openIdle(running, firstIdle, ground);
    const withFirst = await settledMiB(running);
    const after = await openIdle(running, countedIdle, ground);
    const idleMiB = await settledMiB(running);
    for (const connection of [...before, ...after]) connection[Symbol.dispose]();
    const loadMiB = await peakUnderLoad(running, ground);
    return { restMiB, idleMiB, loadMiB, idleKiB: (idleMiB - withFirst) * 1_024 / countedIdle };
  },
};

async function openIdle({ port }: Running, count: number, { signal }: Ground): Promise<Connection[]> {
  const request = getRequest(port, answers.small.path);
  const open: Connection[] = [];
  while (open.length < count) {
    signal.throwIfAborted();
    open.push(
      ...await Promise.all(Array.from({ length: batch }, async () => {
        const connection = await Connection.open(port);
        await connection.exchange(request);
        return connection;
      })),
    );
  }
  return open;
}

async function settledMiB({ pid }: Running): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, restMs));
  return residentKiB(pid) / 1_024;
}

async function peakUnderLoad({ pid, origin }: Running, ground: Ground): Promise<number> {
  let peakKiB = 0;
  const sampling = setInterval(() => peakKiB = Math.max(peakKiB, residentKiB(pid)), samplingMs);
  try {
    const load = { connections: loadConnections, seconds: ground.pace.seconds };
    await applyLoad(ground.wrk, { url: origin + answers.small.path }, load, ground.directory, ground.signal);
  } finally {
    clearInterval(sampling);
  }
  return peakKiB / 1_024;
}

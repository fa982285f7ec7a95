/**
 * Shows how many requests each of four backends gets while one of them dies and returns. Makes a real run for each
 * strategy, writes `docs/images/distribution-STRATEGY.svg` and prints the counts. All traffic stays on 127.0.0.1.
 *
 *     deno run -A scripts/distribution.ts
 */
import { type SampleBackend, startBackend } from "./backend.ts";
import { freePorts, type Launch, ServerProcess } from "./bench/processes.ts";

const strategies = ["round-robin", "least-connections", "random"];
/** The fourth is slower, because strategies that look at the load behave like others while all are alike. */
const delaysMs = [20, 20, 20, 60];
const names = delaysMs.map((_, index) => `backend ${index + 1}`);
/** The index of the backend that dies. */
const mortal = 1;
const requestsPerSecond = 400;
const slotMs = 100;
/** As many slots before the death, without the backend, and after its return. */
const slotsPerPhase = 30;
const slotCount = 3 * slotsPerPhase;
const phaseMs = slotsPerPhase * slotMs;
const healthIntervalMs = 100;

/** The results of the requests that were sent in each slot. */
interface Run {
  readonly strategy: string;
  /** For each backend, its answers by slot. */
  readonly answered: readonly number[][];
  /** Everything but a 200, by slot. */
  readonly failed: number[];
  /** Attempts that were made again at another backend. */
  readonly retried: number;
}

/** Sends requests at an even pace through the real program. The backend dies and returns meanwhile. */
async function observe(strategy: string, signal: AbortSignal): Promise<Run> {
  await using stack = new AsyncDisposableStack();
  const backends = delaysMs.map((_, index) => start(index));
  stack.defer(async () => void await Promise.all(backends.map((backend) => backend.stop())));
  const directory = await Deno.makeTempDir({ prefix: "roundhouse-distribution-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const [port = 0, adminPort = 0] = freePorts(2);
  const config = {
    proxy: { host: "127.0.0.1", port },
    admin: { host: "127.0.0.1", port: adminPort },
    backends: backends.map(({ url }) => url),
    strategy,
    health: { path: "/health", interval: healthIntervalMs, jitter: 0 },
  };
  const configPath = `${directory}/config.json`;
  await Deno.writeTextFile(configPath, JSON.stringify(config));
  const main = new URL("../main.ts", import.meta.url).pathname;
  const launch: Launch = { command: Deno.execPath(), args: ["run", "-P", main, "--config", configPath] };
  stack.use(await ServerProcess.start(launch, port, signal));

  const url = `http://127.0.0.1:${port}/`;
  for (let request = 0; request < requestsPerSecond / 4; request++) await ask(url); // compiles what the run will need
  const retriedBefore = await retriesSoFar(adminPort);
  const answered = names.map(() => new Array<number>(slotCount).fill(0));
  const failed = new Array<number>(slotCount).fill(0);
  await pace(async (sentMs) => {
    const name = await ask(url);
    const slots = name === undefined ? failed : answered[names.indexOf(name)] ?? failed;
    const slot = Math.min(Math.floor(sentMs / slotMs), slotCount - 1);
    slots[slot] = (slots[slot] ?? 0) + 1;
  }, [
    { atMs: phaseMs, act: () => backends[mortal]?.stop() },
    { atMs: 2 * phaseMs, act: () => backends[mortal] = start(mortal, backends[mortal]?.port) },
  ], signal);
  return { strategy, answered, failed, retried: await retriesSoFar(adminPort) - retriedBefore };
}

function start(index: number, port = 0): SampleBackend {
  return startBackend({ port, name: names[index] ?? "", delayMs: delaysMs[index] ?? 0 });
}

/** The name of the backend that answered; `undefined` for anything but a 200. */
async function ask(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    const text = await response.text();
    return response.status === 200 ? String(JSON.parse(text).backend) : undefined;
  } catch {
    return undefined;
  }
}

async function retriesSoFar(adminPort: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/status`);
  return (await response.json()).requests.retried;
}

/** Calls `send` at an even pace, however slow the responses, and each act at its time. Settles when all have ended. */
async function pace(
  send: (sentMs: number) => Promise<void>,
  acts: { readonly atMs: number; readonly act: () => unknown }[],
  signal: AbortSignal,
): Promise<void> {
  const total = requestsPerSecond * slotCount * slotMs / 1_000;
  const startedAt = performance.now();
  const sent: Promise<void>[] = [];
  const acted: unknown[] = [];
  while (sent.length < total) {
    signal.throwIfAborted();
    const nowMs = performance.now() - startedAt;
    while (acts[0] !== undefined && acts[0].atMs <= nowMs) acted.push(acts.shift()?.act());
    while (sent.length < total && sent.length * 1_000 / requestsPerSecond <= nowMs) sent.push(send(nowMs));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all([...sent, ...acted]);
}

/** The counts of a run by phase, with the smallest and the largest of a slot. */
function table({ strategy, answered, failed, retried }: Run): string {
  const rows = [...names.map((name, index) => ({ name, slots: answered[index] ?? [] })), {
    name: "failed",
    slots: failed,
  }].map(({ name, slots }) => {
    const phases = [0, 1, 2].map((phase) => slots.slice(phase * slotsPerPhase, (phase + 1) * slotsPerPhase));
    return [name, ...phases.map((phase) => `${sum(phase)} (${Math.min(...phase)}–${Math.max(...phase)})`)];
  });
  const mortalName = names[mortal];
  const header = [strategy, "all four", `without ${mortalName}`, `${mortalName} back`];
  const lines = [header, ...rows].map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(20) : cell.padStart(20)).join("")
  );
  return [...lines, `retried: ${retried}`].join("\n");
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

// The picture, in pixels.
const slotWidth = 7;
const plot = { left: 52, top: 62, width: slotCount * slotWidth, height: 220 };
const size = { width: plot.left + plot.width + 18, height: plot.top + plot.height + 46 };
/** Colours of Okabe and Ito's palette, which colour-blind people can distinguish. The last is for failures. */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d00"];

/** Stacked areas over time. The picture has its own background, so that the text is legible everywhere. */
function picture({ strategy, answered, failed }: Run): string {
  const layers = [...answered, failed];
  const totals = failed.map((_, slot) => sum(layers.map((slots) => slots[slot] ?? 0)));
  const top = Math.ceil(Math.max(...totals) / 10) * 10;
  const x = (slot: number) => plot.left + slot * slotWidth;
  const y = (count: number) => Math.round(plot.top + plot.height * (1 - count / top));
  const bottom = plot.top + plot.height;

  const areas = layers.map((_, layer) => {
    const edge = (upTo: number) => totals.map((_, slot) => y(sum(layers.slice(0, upTo).map((s) => s[slot] ?? 0))));
    const upper = edge(layer + 1).map((height) => `V${height}h${slotWidth}`).join("");
    const lower = edge(layer).reverse().map((height) => `V${height}h-${slotWidth}`).join("");
    return sum(layers[layer] ?? []) === 0
      ? ""
      : `<path fill="${colours[layer]}" d="M${x(0)} ${bottom}${upper}${lower}z"/>\n`;
  }).join("");
  const ticksY = Array.from({ length: top / 10 + 1 }, (_, tick) => tick * 10).map((count) =>
    `<path class="g" d="M${plot.left} ${y(count)}h${plot.width}"/>` +
    `<text x="${plot.left - 6}" y="${y(count) + 4}" text-anchor="end">${count}</text>\n`
  ).join("");
  const ticksX = Array.from({ length: slotCount * slotMs / 1_000 + 1 }, (_, second) => second).map((second) =>
    `<text x="${x(second * 1_000 / slotMs)}" y="${bottom + 17}" text-anchor="middle">${second}</text>\n`
  ).join("");
  const marks = ["dies", "returns"].map((event, index) =>
    `<path class="m" d="M${x((index + 1) * slotsPerPhase)} ${plot.top - 16}V${bottom}"/>` +
    `<text x="${x((index + 1) * slotsPerPhase) + 5}" y="${plot.top - 7}">${names[mortal]} ${event}</text>\n`
  ).join("");
  const legend = [...names, `failed: ${sum(failed)}`].map((name, index) =>
    `<rect x="${plot.left + index * 105}" y="13" width="11" height="11" fill="${colours[index]}"/>` +
    `<text x="${plot.left + index * 105 + 16}" y="23">${name}</text>\n`
  ).join("");
  const title = `${strategy}: requests per ${slotMs} ms by backend while ${names[mortal]} dies and returns`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" \
height="${size.height}" role="img">
<title>${title}</title>
<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}.b{fill:#fff}.g{stroke:#8888;stroke-width:.5}
.m{stroke:#1f2328;stroke-width:1.5;stroke-dasharray:5 4}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117}.m{stroke:#e6edf3}}
</style>
<rect class="b" width="100%" height="100%" rx="6"/>
${legend}${areas}${ticksY}${ticksX}${marks}<text x="${plot.left + plot.width / 2}" y="${size.height - 9}" \
text-anchor="middle">seconds</text>
<text transform="translate(15 ${plot.top + plot.height / 2})rotate(-90)" text-anchor="middle">requests per ${slotMs} ms\
</text>
</svg>
`;
}

if (import.meta.main) {
  // A proxy in the environment is not meant for 127.0.0.1, but `fetch` would use it.
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
    Deno.env.delete(name);
    Deno.env.delete(name.toLowerCase());
  }
  const interrupted = new AbortController();
  Deno.addSignalListener("SIGINT", () => interrupted.abort(new Error("interrupted")));
  try {
    const images = new URL("../docs/images/", import.meta.url);
    await Deno.mkdir(images, { recursive: true });
    for (const strategy of strategies) {
      const run = await observe(strategy, interrupted.signal);
      await Deno.writeTextFile(new URL(`distribution-${strategy}.svg`, images), picture(run));
      console.log(`${table(run)}\n`);
    }
    Deno.exit(0); // else the signal handler would keep the process alive
  } catch (error) {
    console.error(`distribution: ${error instanceof Error ? error.message : error}`);
    Deno.exit(interrupted.signal.aborted ? 130 : 1);
  }
}

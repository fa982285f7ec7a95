/**
 * `deno task screenshots`: makes the pictures of the dashboard in docs/images from the page itself, with invented
 * figures.
 *
 * Needs Debian's `chromium`, and `fonts-inter` for the same letters.
 */

import { FILES } from "../src/admin/dashboard/files.ts";
import type { BackendStatus, HistoryView, Status } from "../src/admin/dashboard/status.d.ts";
import { HISTORY_SECONDS } from "../src/admin/history.ts";
import { TestBrowser } from "../tests/support/browser.ts";

const FOLDER = new URL("../docs/images/", import.meta.url);
const START = Date.parse("2026-11-24T09:12:00Z");
/** Each picture shows this second after the start. */
const NOW = 5460;
/** When the second backend dies, in pictures where it does. */
const DEATH = NOW - 48;

interface Scene {
  readonly name: string;
  readonly hasFailure: boolean;
  readonly colorScheme: "light" | "dark";
  readonly viewport: { readonly width: number; readonly height: number };
}

const DESKTOP = { width: 1320, height: 1060 };
const SCENES: readonly Scene[] = [
  { name: "dashboard-light", hasFailure: false, colorScheme: "light", viewport: DESKTOP },
  { name: "dashboard-dark", hasFailure: false, colorScheme: "dark", viewport: DESKTOP },
  { name: "dashboard-failing", hasFailure: true, colorScheme: "light", viewport: DESKTOP },
  { name: "dashboard-phone", hasFailure: true, colorScheme: "dark", viewport: { width: 390, height: 844 } },
];

/** Where the server would remember requests that failed: after the second backend has died. */
const FAILED_AT = [DEATH, DEATH + 1];

const URLS = ["http://10.0.4.11:9000", "http://10.0.4.12:9000", "http://10.0.4.13:9000", "http://10.0.9.20:9000"];

/** Requests per second at a second: uneven, and always the same. */
function rate(second: number): number {
  const noise = (Math.sin(second * 12.9898) * 43758.5453) % 1; // as in shaders: no visible pattern
  return Math.round(412 + 60 * Math.sin(second / 37) + 26 * Math.sin(second / 11.3) + 16 * noise);
}

/** The share of the traffic that each backend takes. */
function shares(isDown: boolean): readonly number[] {
  return isDown ? [0.332, 0, 0.668, 0] : [0.25, 0.25, 0.5, 0];
}

/** The statuses of the seconds up to `NOW`. */
function statuses(hasFailure: boolean): Status[] {
  const totals = URLS.map((_, index) => [403_812, 403_790, 807_655, 0][index] ?? 0);
  const failures = [0, 3, 0, 0];
  const result: Status[] = [];
  for (let second = NOW - 305; second <= NOW; second++) {
    const isDown = hasFailure && second >= DEATH;
    shares(isDown).forEach((share, index) => totals[index] = (totals[index] ?? 0) + Math.round(rate(second) * share));
    if (hasFailure && second === DEATH) failures[1] = 26;
    const backends = URLS.map((url, index) => backendStatus(url, index, second, isDown, totals, failures));
    result.push({
      version: "0.1.0",
      startedAt: new Date(START).toISOString(),
      uptimeSeconds: second,
      strategy: "round-robin",
      engine: "wire",
      workers: 2,
      requests: {
        total: totals.reduce((sum, total) => sum + total, 0),
        active: backends.reduce((sum, { currentConnections }) => sum + currentConnections, 0),
        failed: hasFailure && second >= DEATH ? 2 : 0,
        retried: hasFailure && second >= DEATH ? 27 : 3,
        queued: 0,
      },
      backends,
      pools: {},
      cluster: null,
      certificates: [],
    });
  }
  return result;
}

function backendStatus(
  url: string,
  index: number,
  second: number,
  isDown: boolean,
  totals: readonly number[],
  failures: readonly number[],
): BackendStatus {
  const alive = !(isDown && index === 1);
  const isBackup = index === 3;
  const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();
  const checkedAt = second - (second + index) % 5;
  const perSecond = !alive || isBackup ? 0 : index === 2 ? 40 : 20;
  return {
    id: `b-${index}`,
    url,
    alive,
    state: "active",
    weight: index === 2 ? 2 : 1,
    backup: isBackup,
    currentConnections: alive && !isBackup ? Math.round(3 + index + 2 * Math.sin(second / 3 + index)) : 0,
    maxConnections: isBackup ? null : 200,
    totalRequests: totals[index] ?? 0,
    totalFailures: failures[index] ?? 0,
    responses: { "2xx": (totals[index] ?? 0) - (failures[index] ?? 0), "3xx": 0, "4xx": 0, "5xx": 0 },
    lastMinute: { requests: perSecond * 60, failures: 0, answers: perSecond * 60, "4xx": 0, "5xx": 0, perSecond },
    latencyMs: {
      ewma: isBackup ? null : [11.8, 12.6, 9.4][index] ?? null,
      p50: isBackup ? null : [8.2, 8.4, 6.9][index] ?? null,
      p95: isBackup ? null : [14.1, 15.8, 11.2][index] ?? null,
      p99: isBackup ? null : [22.5, 24.1, 18.4][index] ?? null,
    },
    lastCheck: alive
      ? { at: at(checkedAt), ok: true, status: 200, durationMs: [1.4, 1.9, 1.1, 2.2][index] ?? 1, error: null }
      : { at: at(checkedAt), ok: false, status: null, durationMs: 0.6, error: "connection refused" },
    lastChange: alive ? null : { at: at(DEATH), to: "down", reason: "check failed: connection refused" },
  };
}

/** What `GET /history` answers: the traffic of the last five minutes. */
function history(hasFailure: boolean): HistoryView {
  const first = NOW - HISTORY_SECONDS + 1;
  const column = (value: (second: number) => number) =>
    Array.from({ length: HISTORY_SECONDS }, (_, index) => value(first + index));
  const failed = column((second) => hasFailure && FAILED_AT.includes(second) ? 1 : 0);
  const total = {
    requests: column(rate),
    failed,
    "4xx": column((second) => second % 4),
    "5xx": failed,
    failedAttempts: column((second) => hasFailure && second === DEATH ? 23 : 0),
    active: column(() => 14),
  };
  const from = new Date(START + first * 1000).toISOString();
  return { from, seconds: HISTORY_SECONDS, total, pools: { default: total }, routes: {} };
}

/** What the stream sends: the changes so far, then a status for each second. */
function stream(hasFailure: boolean): string {
  const events: [name: string, data: unknown][] = [];
  const change = (name: string, index: number, second: number, reason: string) =>
    events.push([name, {
      backend: URLS[index],
      pool: "default",
      reason,
      at: new Date(START + second * 1000).toISOString(),
      state: "active",
    }]);
  URLS.forEach((_, index) => change("backend-added", index, 0, "configured"));
  change("backend-down", 0, 2711, "check failed: status 503, want 200-399");
  change("backend-up", 0, 2731, "check passed");
  change("backend-changed", 2, 4020, "admin API");
  if (hasFailure) change("backend-down", 1, DEATH, "check failed: connection refused");
  for (const status of statuses(hasFailure)) events.push(["stats", status]);
  return events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("");
}

/** Serves the files of the page, and a stream that sends nothing new but stays alive. */
function serve(hasFailure: boolean): Deno.HttpServer<Deno.NetAddr> {
  const types: Record<string, string> = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/history") return Response.json(history(hasFailure));
    if (pathname === "/routes") return Response.json([]);
    if (pathname === "/events") return new Response(alive(stream(hasFailure)).pipeThrough(new TextEncoderStream()));
    const type = types[pathname.slice(pathname.lastIndexOf(".") + 1)] ?? "text/html";
    return new Response(new Map(Object.entries(FILES)).get(pathname) ?? "", {
      headers: { "content-type": `${type}; charset=utf-8` },
    });
  });
}

/** A stream of `text`, then of a comment each second. */
function alive(text: string): ReadableStream<string> {
  let timer: ReturnType<typeof setInterval>;
  return new ReadableStream({
    start(controller) {
      controller.enqueue(text);
      timer = setInterval(() => controller.enqueue(": still here\n\n"), 1000);
    },
    cancel: () => clearInterval(timer),
  });
}

async function take(browser: TestBrowser, { name, hasFailure, colorScheme, viewport }: Scene): Promise<void> {
  const server = serve(hasFailure);
  try {
    const options = { colorScheme, viewport, deviceScaleFactor: 1.5, reducedMotion: "reduce" } as const;
    const { page, complaints } = await browser.open(`http://127.0.0.1:${server.addr.port}`, options);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.locator("#tile-failed-label").getByText("5 min").waitFor();
    await page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))");
    // The caret stays visible: hiding it would need a style of the tool.
    await page.screenshot({ path: new URL(`${name}.png`, FOLDER).pathname, caret: "initial" });
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    await page.close();
  } finally {
    await server.shutdown();
  }
}

if (import.meta.main) {
  await using browser = await TestBrowser.start();
  for (const scene of SCENES) await take(browser, scene);
}

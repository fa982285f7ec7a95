/** The cost of a request at full speed, by kind of request and answer. */
import { answers } from "../backends.ts";
import type { Ground, Running } from "../ground.ts";
import { type Column, type Figures, type Scenario, troubleColumns } from "../scenario.ts";
import { applyLoad, type WrkLoad, type WrkRequest } from "../wrk.ts";

interface Kind {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly answer: { readonly path: string; readonly bytes: number };
  readonly bodyBytes?: number;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly secure?: boolean;
  /** Whether everything is switched on that a proxy usually has in production. */
  readonly production?: boolean;
  /** As in `Scenario`. */
  readonly usualSubjects?: readonly string[];
}

/** Where further peers and a second worker would tell little new. */
const few = ["wire", "fetch", "haproxy", "nginx", "caddy"];

const connections = 64;

const columns: readonly Column[] = [
  { key: "cpuMicros", title: "CPU µs/request", digits: 1, range: true, relative: true },
  { key: "userMicros", title: "user", digits: 1 },
  { key: "systemMicros", title: "system", digits: 1 },
  { key: "perSecond", title: "requests/s", digits: 0, range: true },
  { key: "p50Ms", title: "p50 ms", digits: 2 },
  { key: "p99Ms", title: "p99 ms", digits: 2 },
  { key: "p999Ms", title: "p99.9 ms", digits: 2 },
  { key: "coresBusy", title: "cores busy", digits: 2 },
  ...troubleColumns,
];

/** One scenario for each kind of request. */
export const throughput: readonly Scenario[] = [
  scenario({
    name: "small",
    title: "Small answers",
    about: "GET requests with an answer of 60 bytes.",
    answer: answers.small,
  }),
  scenario({
    name: "64k",
    title: "64 KiB",
    about: "GET requests with an answer of 64 KiB.",
    answer: answers.medium,
    usualSubjects: [...few, "wire-2"],
  }),
  scenario({
    name: "1m",
    title: "1 MiB",
    about: "GET requests with an answer of 1 MiB.",
    answer: answers.large,
    usualSubjects: few,
  }),
  scenario({
    name: "post",
    title: "POST 64 KiB",
    about: "POST requests with a body of 64 KiB, which the backend reads completely, and an answer of 60 bytes.",
    answer: answers.upload,
    bodyBytes: 64 * 1_024,
  }),
  scenario({
    name: "headers",
    title: "40 request headers",
    about: "GET requests with 40 headers of about 30 bytes each besides the usual ones, and an answer of 60 bytes.",
    answer: answers.small,
    headers: Array.from({ length: 40 }, (_, index) => [`X-Header-${index}`, `value ${index} of this request`] as const),
    usualSubjects: few,
  }),
  scenario({
    name: "production",
    title: "As in production",
    about: "GET requests of a browser behind another proxy, with an answer of 60 bytes: with `traceparent`, " +
      "`X-Forwarded-For` and `-Proto` of a trusted peer, a session cookie and an access log. Sessions lead all requests " +
      "to one backend.",
    answer: answers.small,
    headers: [
      ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
      ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
      ["X-Forwarded-For", "203.0.113.7"],
      ["X-Forwarded-Proto", "https"],
      ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    ],
    production: true,
    usualSubjects: ["wire", "wire-2", "fetch", "haproxy"],
  }),
  scenario({
    name: "connect",
    title: "A new connection for each request",
    about: "GET requests with `Connection: close` and an answer of 60 bytes.",
    answer: answers.small,
    headers: [["Connection", "close"]],
    usualSubjects: few,
  }),
  scenario({
    name: "tls",
    title: "HTTPS",
    about: "GET requests over HTTPS (HTTP/1.1, kept connections, EC certificate) with an answer of 60 bytes.",
    answer: answers.small,
    secure: true,
    usualSubjects: few,
  }),
  scenario({
    name: "handshake",
    title: "A new HTTPS connection for each request",
    about:
      "GET requests over HTTPS (HTTP/1.1, EC certificate) with `Connection: close` and an answer of 60 bytes. The " +
      "client offers to resume its last TLS session. Programs do so or not, as they do by default.",
    answer: answers.small,
    headers: [["Connection", "close"]],
    secure: true,
    usualSubjects: ["wire", "fetch", "haproxy", "nginx"],
  }),
];

function scenario(kind: Kind): Scenario {
  const { name, title, about, usualSubjects } = kind;
  return {
    name,
    title,
    about: `${about} There are ${connections} connections. Each sends its next request as soon as it has its answer.`,
    columns,
    chart: true,
    ...usualSubjects && { usualSubjects },
    seconds: ({ seconds, warmUpSeconds }) => seconds + warmUpSeconds,
    async measure(subject, ground) {
      const { secure = false, production = false, headers = [] } = kind;
      if (production && subject.sessions !== true) throw new Error("it keeps no sessions in a cookie");
      const running = await ground.running(subject, { ...secure && { secure }, ...production && { production } });
      const session = await checkAnswer(running, kind, ground);
      const sent = session === undefined ? headers : [...headers, ["Cookie", session] as const];
      const request: WrkRequest = { ...kind, headers: sent, url: running.origin + kind.answer.path };
      return await measureLoad(running, request, { connections, seconds: ground.pace.seconds }, ground);
    },
  };
}

/** Warms up. Then measures the CPU time of the proxy, together with the figures of wrk. */
export async function measureLoad(
  { pid }: Running,
  request: WrkRequest,
  { connections, seconds }: WrkLoad,
  ground: Ground,
): Promise<Figures> {
  const { wrk, directory, signal } = ground;
  const load = (seconds: number) => applyLoad(wrk, request, { connections, seconds }, directory, signal);
  await load(ground.takeWarmUp(pid, JSON.stringify(request)));
  const { result, userMicros, systemMicros } = await ground.withCpuTime(pid, () => load(seconds));
  if (result.requests === 0) throw new Error("not one request was answered");
  return {
    cpuMicros: (userMicros + systemMicros) / result.requests,
    userMicros: userMicros / result.requests,
    systemMicros: systemMicros / result.requests,
    perSecond: result.requests / (result.durationMicros / 1e6),
    p50Ms: result.p50Micros / 1_000,
    p99Ms: result.p99Micros / 1_000,
    p999Ms: result.p999Micros / 1_000,
    coresBusy: (userMicros + systemMicros) / result.durationMicros,
    badAnswers: result.badAnswers,
    socketErrors: result.socketErrors,
  };
}

/**
 * Throws unless the proxy forwards the whole response. The figures of error pages would be too good. Returns the cookie
 * of the session, if there is one.
 */
async function checkAnswer({ origin }: Running, kind: Kind, ground: Ground): Promise<string | undefined> {
  const { path, bytes } = kind.answer;
  using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(ground.certificate.cert)] });
  const response = await fetch(origin + path, {
    client,
    ...(kind.bodyBytes === undefined ? {} : { method: "POST", body: "x".repeat(kind.bodyBytes) }),
    headers: (kind.headers ?? []).filter(([name]) => name !== "Connection").map(([name, value]) => [name, value]),
    signal: AbortSignal.any([ground.signal, AbortSignal.timeout(5_000)]),
  });
  const { byteLength } = await response.arrayBuffer();
  if (response.status !== 200 || byteLength !== bytes) {
    throw new Error(`it answered ${response.status} with ${byteLength} bytes instead of ${bytes}`);
  }
  const [cookie] = response.headers.getSetCookie();
  if (kind.production === true && cookie === undefined) throw new Error("it set no cookie for the session");
  return cookie?.split(";")[0];
}

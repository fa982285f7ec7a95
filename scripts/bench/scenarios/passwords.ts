/** What clients notice of others who send wrong passwords. */
import { answers } from "../backends.ts";
import type { Ground, Running } from "../ground.ts";
import { applyFixedRate } from "../load/generators.ts";
import type { Scenario } from "../scenario.ts";

const perSecond = 1_000;
const connections = 32;
const wrongPerSecond = 50;

/** Each is the hash of some password; scrypt with the parameters of `roundhouse hash-password`. */
const hashes = {
  scrypt: "$scrypt$ln=14,r=8,p=5$0TcbFlS0mnX1G9QRCqGKPA$H3MhYzAFfenKGn3HrjOtt2XvY6maP+sjW6m9nfvbPcU",
  bcrypt10: "$2y$10$N7lzX0f1GvRk4pQy8sWc2u/KnbkRFzOZrIHKN8dJX/ueOVJ.Z8pVa",
  bcrypt12: "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW",
};

/** GET at a fixed rate for a path that asks for no password, without and with wrong passwords for another one. */
export const passwords: Scenario = {
  name: "passwords",
  title: `${wrongPerSecond} wrong passwords a second`,
  about: `${perSecond.toLocaleString("en")} GET requests a second with an answer of 60 bytes over ${connections} ` +
    `connections, for a path that asks for no password: alone, and while other clients send ${wrongPerSecond} wrong ` +
    "passwords a second for another path. Only of roundhouse.",
  ownOnly: true,
  usualSubjects: ["wire", "fetch"],
  mostRounds: 1,
  columns: [
    { key: "p99Ms", title: "p99 ms, alone", digits: 2, range: true },
    { key: "scryptP99Ms", title: "scrypt", digits: 2, range: true },
    { key: "bcrypt10P99Ms", title: "bcrypt 10", digits: 2, range: true },
    { key: "bcrypt12P99Ms", title: "bcrypt 12", digits: 2, range: true },
    { key: "p50Ms", title: "p50 ms, alone", digits: 2 },
    { key: "scryptP50Ms", title: "scrypt", digits: 2 },
    { key: "bcrypt10P50Ms", title: "bcrypt 10", digits: 2 },
    { key: "bcrypt12P50Ms", title: "bcrypt 12", digits: 2 },
    { key: "failed", title: "failed requests", digits: 0, trouble: true },
    { key: "letIn", title: "let in", digits: 0, trouble: true },
  ],
  seconds: ({ seconds, warmUpSeconds }) => 4 * (seconds + warmUpSeconds),
  async measure(subject, ground) {
    const alone = await ownLatency(await ground.running(subject, { hash: hashes.scrypt }), ground);
    let { failed } = alone;
    let letIn = 0;
    const figures: Record<string, number> = { p50Ms: alone.p50Ms, p99Ms: alone.p99Ms };
    for (const [name, hash] of Object.entries(hashes)) {
      const running = await ground.running(subject, { hash });
      using attack = new Attack(running.port);
      const latency = await ownLatency(running, ground);
      figures[`${name}P50Ms`] = latency.p50Ms;
      figures[`${name}P99Ms`] = latency.p99Ms;
      failed += latency.failed;
      letIn += attack.letIn;
    }
    return { ...figures, failed, letIn };
  },
};

async function ownLatency({ port }: Running, { pace, signal }: Ground) {
  const { path } = answers.small;
  const { seconds, warmUpSeconds } = pace;
  const load = { port, path, perSecond, connections, seconds, warmUpSeconds };
  const { p50Ms, p99Ms, failedAt } = await applyFixedRate(load, signal);
  return { p50Ms, p99Ms, failed: failedAt.length };
}

/** Sends wrong passwords, each of them new, until it is disposed of. */
class Attack implements Disposable {
  /** How many were taken for right. */
  letIn = 0;
  readonly #stop = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #sent = 0;

  constructor(port: number) {
    this.#timer = setInterval(() => void this.#send(port), 1_000 / wrongPerSecond);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#stop.abort();
  }

  async #send(port: number): Promise<void> {
    const headers = { authorization: `Basic ${btoa(`user:wrong ${++this.#sent}`)}` };
    try {
      const response = await fetch(`http://127.0.0.1:${port}/private/`, { headers, signal: this.#stop.signal });
      if (response.status !== 401 && response.status !== 503) this.letIn++;
      await response.body?.cancel();
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }
}

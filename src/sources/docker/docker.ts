/** Backends from Docker: running containers with a label. Listed anew whenever an event says that they may have changed. */

import { DOCKER_HOST, type DockerDiscover } from "../../config/discover/docker.ts";
import { LostError } from "../json_lines.ts";
import { pause } from "../../net/pause.ts";
import { jittered } from "../pauses.ts";
import { type HoldSession, keepSessions, type SessionContext, together } from "../sessions.ts";
import { type BackendSource, SourceError, type SourceReport } from "../source.ts";
import { DockerApi, type EventStream } from "./api.ts";
import { readContainers } from "./containers.ts";

const USUAL_HOST = "unix:///var/run/docker.sock";

/**
 * How often containers are listed without an event. Nothing else would show that the stream of events has lost its
 * connection, or that Docker stands still.
 */
const CHECK_MS = 10_000;
const JITTER = 0.1;

/**
 * After an event. Events that come together make one list. Docker sends some events a moment before the list shows what
 * they tell, hence the second list.
 */
const SOON_MS = [100, 1000];

/** Where Docker's API is, and which containers are backends. */
export type DockerSettings = Omit<DockerDiscover, "kind" | "keepForMs" | "drainMs">;

export class DockerSource implements BackendSource {
  readonly #settings: DockerSettings;
  readonly #context: SessionContext;

  constructor(settings: DockerSettings, context: SessionContext) {
    this.#settings = settings;
    this.#context = context;
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    const host = this.#settings.host ?? (Deno.env.get("DOCKER_HOST") || USUAL_HOST);
    const hold: HoldSession = async (host, answered, stop) => {
      if (this.#settings.host === null) mustBeSpoken(host);
      using api = new DockerApi(host, this.#context.clock);
      return await new DockerSession(api, this.#settings, report, this.#context).hold(answered, stop);
    };
    await keepSessions(hold, { ...this.#context, servers: [host], report, stop });
  }
}

/** @throws {SourceError} when the environment asks for what only Docker's own client can do */
function mustBeSpoken(host: string): void {
  if (!DOCKER_HOST.test(host)) throw new SourceError(`want "unix:///PATH" or "tcp://HOST:PORT" as DOCKER_HOST`);
  if (host.startsWith("tcp:") && Deno.env.get("DOCKER_TLS_VERIFY")) {
    throw new SourceError("DOCKER_TLS_VERIFY is set, but TLS to Docker's API is not supported");
  }
}

/** One stream of events, and the lists that follow from it. */
class DockerSession {
  readonly #api: DockerApi;
  readonly #settings: DockerSettings;
  readonly #report: SourceReport;
  readonly #context: SessionContext;
  /** The pauses before the next lists that an event has asked for. */
  #soon: number[] = [];
  #event = new AbortController();

  constructor(api: DockerApi, settings: DockerSettings, report: SourceReport, context: SessionContext) {
    this.#api = api;
    this.#settings = settings;
    this.#report = report;
    this.#context = context;
  }

  async hold(answered: () => void, stop: AbortSignal): Promise<never> {
    // Opened before the first list, so that nothing happens unseen between the two.
    using events = await this.#api.openEvents(stop);
    let last = await this.#list(stop);
    answered();
    return await together(stop, [
      (stop) => this.#follow(events, stop),
      async (stop) => {
        while (true) {
          const isExpected = await this.#untilNextList(stop);
          const list = await this.#list(stop);
          if (list !== last && !isExpected) throw new LostError("the stream of events is silent");
          last = list;
        }
      },
    ]);
  }

  async #follow(events: EventStream, stop: AbortSignal): Promise<never> {
    const end = () => events[Symbol.dispose]();
    stop.addEventListener("abort", end);
    try {
      for await (const _ of events.changes(this.#settings)) {
        this.#soon = [...SOON_MS];
        this.#event.abort();
      }
    } finally {
      stop.removeEventListener("abort", end);
    }
    throw new LostError("the stream of events has ended");
  }

  /** Lists the containers and tells them. Returns what tells one list from another. */
  async #list(stop: AbortSignal): Promise<string> {
    const answer = await this.#api.list(this.#settings, stop);
    try {
      const found = readContainers(answer, this.#settings);
      this.#report.found(found);
      return JSON.stringify(found.map(({ spec, leaving }) => [spec.url, leaving]));
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      this.#report.failed(error.message); // the next list may be better: the events go on
      return error.message;
    }
  }

  /** Returns whether an event has asked for it. */
  async #untilNextList(stop: AbortSignal): Promise<boolean> {
    const { clock, random } = this.#context;
    if (this.#soon.length === 0) {
      this.#event = new AbortController();
      await pause(jittered(CHECK_MS, JITTER, random), clock, AbortSignal.any([stop, this.#event.signal]));
    }
    const soonMs = this.#soon.shift();
    if (soonMs !== undefined) await pause(soonMs, clock, stop);
    stop.throwIfAborted();
    return soonMs !== undefined;
  }
}

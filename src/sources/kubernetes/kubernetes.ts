/** Backends from the EndpointSlices of a Kubernetes service: listed once, then watched. */

import { messageOf } from "../../errors.ts";
import type { Clock } from "../../net/clock.ts";
import { pause } from "../../net/pause.ts";
import { LostError } from "../json_lines.ts";
import { Pauses } from "../pauses.ts";
import { type BackendSource, SourceError, type SourceReport } from "../source.ts";
import { type AccessSettings, OWN_POD, type Pod } from "./access.ts";
import { KubernetesApi, type ServiceName } from "./api.ts";
import { ExpiredError } from "./refusals.ts";
import { isNewer, SliceTable, type WantedBackends } from "./slice_table.ts";

/** The slices are listed anew so often, although they are watched: then no event that was lost counts for longer. */
const LIST_AGAIN_MS = 600_000;

/** A watch that lasted so long was no failure. One that ends sooner is opened again after a pause. */
const LASTING_MS = 5000;

/** What a `KubernetesSource` works with. */
export interface KubernetesContext {
  readonly clock: Clock;
  readonly random: () => number;
  /** Default: the pod that this process runs in. */
  readonly pod?: Pod;
}

export type KubernetesSettings = ServiceName & AccessSettings & WantedBackends;

export class KubernetesSource implements BackendSource {
  readonly #settings: KubernetesSettings;
  readonly #context: Required<KubernetesContext>;
  readonly #table = new SliceTable();
  /** Up to which version everything is known; `undefined`: a list is needed. */
  #version: string | undefined;
  #listedAt = 0;

  constructor(settings: KubernetesSettings, context: KubernetesContext) {
    this.#settings = settings;
    this.#context = { pod: OWN_POD, ...context };
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    const { clock, random } = this.#context;
    using api = new KubernetesApi(this.#settings, this.#context);
    const pauses = new Pauses(random);
    while (!stop.aborted) {
      const begunAt = clock.now();
      try {
        if (this.#needsList()) await this.#list(api, report, stop);
        await this.#watch(api, report, stop);
      } catch (error) {
        if (stop.aborted) break;
        this.#version = undefined;
        // Old versions are given up all the time. What fails is at most the list after that.
        if (!(error instanceof ExpiredError)) report.failed(messageOf(error));
        await pause(pauses.next(), clock, stop);
        continue;
      }
      if (clock.now() - begunAt >= LASTING_MS) pauses.reset();
      else await pause(pauses.next(), clock, stop);
    }
  }

  #needsList(): boolean {
    return this.#version === undefined || this.#context.clock.now() - this.#listedAt >= LIST_AGAIN_MS;
  }

  async #list(api: KubernetesApi, report: SourceReport, stop: AbortSignal): Promise<void> {
    const { slices, version } = await api.list(stop);
    this.#table.replace(slices, version);
    this.#version = version;
    this.#listedAt = this.#context.clock.now();
    this.#tell(report);
  }

  /**
   * Follows one watch to its end. A connection that is lost ends it, too: the next watch goes on from the last version.
   */
  async #watch(api: KubernetesApi, report: SourceReport, stop: AbortSignal): Promise<void> {
    try {
      for await (const event of api.watch(this.#version ?? "", stop, () => this.#tell(report))) {
        if (event.kind === "slice") this.#table.apply(event.slice);
        if (this.#version === undefined || isNewer(event.version, this.#version)) this.#version = event.version;
        this.#tell(report);
      }
    } catch (error) {
      if (!(error instanceof LostError)) throw error;
    }
  }

  #tell(report: SourceReport): void {
    try {
      report.found(this.#table.backends(this.#settings));
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      report.failed(error.message); // what comes next may mend it: the watch goes on
    }
  }
}

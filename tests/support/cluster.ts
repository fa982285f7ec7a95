/** Replicas for tests: clusters with the list of one file, without the rest of roundhouse. */

import { Cluster, type ClusterOptions } from "../../src/cluster/cluster.ts";
import type { BaseList } from "../../src/cluster/overlay.ts";
import type { BackendChange, ChangedFields } from "../../src/config/backend_change.ts";
import { type BackendSpec, backendSpecSchema } from "../../src/config/schema.ts";
import { systemClock } from "../../src/net/clock.ts";
import { RecordingLog } from "./log.ts";
import { waitFor } from "./wait.ts";

/** A backend with the defaults of the file. */
export function backend(url: string, fields: Partial<BackendSpec> = {}): BackendSpec {
  return { ...backendSpecSchema.parse({ url }), ...fields };
}

/** One replica of a cluster. It stops when it is disposed of. */
export class Replica implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly log: RecordingLog;
  readonly availability: string[];
  /** How often the lists had to be laid over again. */
  changes = 0;
  /** The file's list of each pool. */
  file: BaseList;

  static async start(
    redis: string,
    options: Partial<ClusterOptions> & { readonly file?: BaseList } = {},
  ): Promise<Replica> {
    const log = new RecordingLog();
    const availability: string[] = [];
    const { file = { origin: "file", specs: [backend("http://a:1"), backend("http://b:1")] }, ...rest } = options;
    let replica: Replica | undefined = undefined;
    const cluster = await Cluster.start({
      redis,
      prefix: "roundhouse",
      admin: () => "127.0.0.1:8081",
      listOf: (): BaseList => replica?.file ?? file,
      availability: (up, error) => availability.push(up ? "up" : `away: ${error}`),
      directory: undefined,
      owner: "test",
      log,
      clock: systemClock,
      ...rest,
    });
    return replica = new Replica({ cluster, log, availability, file });
  }

  private constructor(
    { cluster, log, availability, file }: {
      readonly cluster: Cluster;
      readonly log: RecordingLog;
      readonly availability: string[];
      readonly file: BaseList;
    },
  ) {
    this.cluster = cluster;
    this.log = log;
    this.availability = availability;
    this.file = file;
    // As the control plane does: pools use the changes as soon as they arrive.
    cluster.subscribe(() => {
      this.changes++;
      this.list();
    });
    this.list();
  }

  get isUp(): boolean {
    return this.cluster.status().up;
  }

  /** The list of the pool, each backend as `URL weight`. */
  list(pool = "default"): string[] {
    const { specs, states } = this.cluster.laidOver(pool, this.file);
    return specs.map(({ url, weight }) => [url, weight, ...states.has(url) ? [states.get(url)] : []].join(" "));
  }

  record(change: BackendChange, pool = "default"): Promise<void> {
    return this.cluster.record({ kind: "backends", pool, change });
  }

  add(url: string, fields: Partial<BackendSpec> = {}): Promise<void> {
    return this.record({ kind: "add", spec: backend(url, fields) });
  }

  change(url: string, fields: ChangedFields): Promise<void> {
    return this.record({ kind: "change", url, fields });
  }

  remove(url: string): Promise<void> {
    return this.record({ kind: "remove", url });
  }

  async waitUntilUp(up = true): Promise<void> {
    const what = `the store to be ${up ? "back" : "away"}`;
    await waitFor(() => this.isUp === up, { timeoutMs: 30_000, what });
  }

  async waitForList(list: readonly string[]): Promise<void> {
    await waitFor(() => this.list().join() === list.join(), {
      timeoutMs: 30_000,
      what: `${list.join()}, not ${this.list().join()}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
  }
}

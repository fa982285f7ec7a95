/** What a start obtains before it makes anything else: files, certificates, and the place among the replicas. */

import { poolsOf } from "../config/pool_settings.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import type { Challenges } from "../tls/acme/challenges.ts";
import { type BackendFiles, readBackendFiles } from "../tls/backend_files.ts";
import { GoodPairs } from "../tls/certificate_files.ts";
import { checkCertificateFiles } from "../tls/check.ts";
import { CertificateStore } from "../tls/store.ts";
import { acmeContext } from "./acme.ts";
import { Replicas } from "./replicas.ts";

export interface ObtainOptions {
  readonly config: Config;
  /** The folder for state. `undefined`: there is none. */
  readonly state: string | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Obtained {
  readonly files: BackendFiles;
  readonly certificates: CertificateStore;
  readonly challenges: Challenges;
  /** `undefined`: this roundhouse is in no cluster. */
  readonly replicas: Replicas | undefined;
}

/** @throws {ConfigError} when a file can't be used. Nothing is left running then */
export async function obtain({ config, state, log, clock }: ObtainOptions): Promise<Obtained> {
  const good = new GoodPairs();
  checkCertificateFiles(config, new Date(clock.now()), good); // first, so that one error reports all bad files
  const files = readBackendFiles(poolsOf(config));
  const replicas = await Replicas.start({ config, stateDirectory: state, log, clock });
  try {
    const acme = await acmeContext({ config, state, store: () => replicas?.store, log, clock });
    const certificates = await CertificateStore.obtain({ tls: config.proxy.tls, acme, good, log, clock });
    return { files, certificates, challenges: acme.challenges, replicas };
  } catch (error) {
    await replicas?.stop();
    throw error;
  }
}

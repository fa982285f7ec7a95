/** Where the API server is, and how to be let in: as configured, or as the service account of the pod. */

import { messageOf } from "../../errors.ts";
import { readRegularFile } from "../../regular_file.ts";
import { SourceError } from "../source.ts";

/** What the configuration says. `null`: as in a pod. */
export interface AccessSettings {
  /** The URL of the API server; may have a path. */
  readonly api: string | null;
  readonly token: string | null;
  /** A file with the authorities that have signed the certificate of the API server. */
  readonly ca: string | null;
}

/** What a pod is told by the cluster. */
export interface Pod {
  readonly env: (name: string) => string | undefined;
  /** The folder of the service account's files. */
  readonly folder: string;
}

export const OWN_POD: Pod = {
  env: (name) => Deno.env.get(name),
  folder: "/var/run/secrets/kubernetes.io/serviceaccount",
};

export interface Access {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string | null;
  /** Certificates in PEM that are trusted beside the built-in ones. */
  readonly ca: string | null;
}

/**
 * Read for each request: the cluster replaces the token of a service account about every hour, and the authorities
 * sometimes.
 *
 * @throws {SourceError} when something is missing
 */
export function readAccess(settings: AccessSettings, pod: Pod): Access {
  if (settings.api !== null) {
    return {
      url: settings.api.replace(/\/+$/, ""),
      token: settings.token,
      ca: settings.ca === null ? null : read(settings.ca),
    };
  }
  return {
    url: urlInPod(pod),
    token: settings.token ?? readToken(`${pod.folder}/token`),
    ca: read(settings.ca ?? `${pod.folder}/ca.crt`),
  };
}

function urlInPod({ env }: Pod): string {
  const host = env("KUBERNETES_SERVICE_HOST");
  const port = env("KUBERNETES_SERVICE_PORT") ?? "443";
  if (host === undefined || host === "") {
    throw new SourceError(`not in a pod (KUBERNETES_SERVICE_HOST is not set); outside of one, "api" says where to ask`);
  }
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function readToken(path: string): string {
  const token = read(path).trim();
  // Anything else can't be sent in a header.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new SourceError(`${path} holds no token`);
  return token;
}

function read(path: string): string {
  try {
    return readRegularFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "no such file" : messageOf(error);
    throw new SourceError(`${path} can't be read: ${reason}`, { cause: error });
  }
}

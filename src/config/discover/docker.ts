/** `discover` from Docker: `docker:LABEL=VALUE:PORT`. */
import * as z from "zod";
import { text } from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** Running containers with a label. */
export interface DockerDiscover extends DiscoverCommon {
  readonly kind: "docker";
  readonly label: string;
  readonly value: string;
  readonly port: number;
  readonly scheme: "http" | "https";
  /** `null`: the one that the environment names, or the usual socket. */
  readonly host: string | null;
  /** The network whose addresses count. `null`: the only one that a container is in. */
  readonly network: string | null;
}

const CONTAINERS_WANTED = `LABEL=VALUE:PORT, such as "roundhouse.pool=api:8080"`;
const CONTAINERS = /^([^=\0]+)=([^\0]*):([1-9]\d{0,4})$/;

/** Where Docker's API may be. */
export const DOCKER_HOST = /^(unix:\/\/\/[^\0]+|tcp:\/\/[^\s/\\?#@]+:[1-9]\d{0,4}\/?)$/;

const HOST_WANTED = `"unix:///PATH", "tcp://HOST:PORT", or null`;

const keys = () =>
  inUnits(
    z.strictObject({
      docker: bareSetting(
        text(CONTAINERS, CONTAINERS_WANTED).refine((value) => toContainers(value).port <= 65_535, CONTAINERS_WANTED),
        "The label that containers must have, with its value, and the port in them: `LABEL=VALUE:PORT`.",
      ),
      scheme: setting(z.enum(["http", "https"]), "http", "What the containers speak."),
      host: setting(
        text(DOCKER_HOST, HOST_WANTED).nullable(),
        null,
        "Where Docker's API is. `null`: what `DOCKER_HOST` says, or else `unix:///var/run/docker.sock`.",
      ),
      network: setting(
        text(/^[^\0]+$/, "the name of a network, or null").nullable(),
        null,
        "The network in which containers are reached. `null`: the only one that each is in.",
      ),
      ...commonKeys(),
    }),
  );

const form = later(() =>
  z.codec(
    keys(),
    z.custom<DockerDiscover>((value) => (value as DockerDiscover).kind === "docker"),
    {
      decode: ({ docker, ...rest }): DockerDiscover => ({ kind: "docker", ...toContainers(docker), ...rest }),
      encode: ({ kind: _, label, value, port, ...rest }) => ({ docker: `${label}=${value}:${port}`, ...rest }),
    },
  )
);

export const docker: DiscoverKind<typeof form> = {
  name: "docker",
  words: "docker:LABEL=VALUE:PORT",
  form,
  fromText: (rest) => ({ docker: rest }),
  describe: ({ label, value, port }) => `docker:${label}=${value}:${port}`,
};

function toContainers(written: string): Pick<DockerDiscover, "label" | "value" | "port"> {
  const [, label = "", value = "", port = ""] = CONTAINERS.exec(written) ?? [];
  return { label, value, port: Number(port) };
}

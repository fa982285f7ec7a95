/** `discover` from a Kubernetes service: `kubernetes:NAMESPACE/SERVICE:PORT`. */
import * as z from "zod";
import { filePath, text } from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** The endpoints of a service, from its EndpointSlices. */
export interface KubernetesDiscover extends DiscoverCommon {
  readonly kind: "kubernetes";
  readonly namespace: string;
  readonly service: string;
  /** The name or the number of a port; `null`: the only one. */
  readonly port: string | null;
  readonly scheme: "http" | "https";
  /** The URL of the API server; `null`: the one of the cluster that this process runs in. */
  readonly api: string | null;
  readonly token: string | null;
  readonly ca: string | null;
}

const LABEL = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?";
const TARGET = new RegExp(`^(${LABEL})/(${LABEL})(?::(${LABEL}))?$`);
const TARGET_WANTED = `NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT, such as "shop/web:http" or "shop/web:8080"`;

const API_WANTED = "the http:// or https:// URL of an API server, without credentials, query or fragment";
const TOKEN_WANTED = "a bearer token";

const keys = () =>
  inUnits(z.strictObject({
    kubernetes: bareSetting(
      text(TARGET, TARGET_WANTED).refine(hasPort, TARGET_WANTED),
      "The service: `NAMESPACE/SERVICE:PORT`. PORT is the port of the endpoints, by its name or number.",
      { more: "It may be left out if there is only one." },
    ),
    scheme: setting(z.enum(["http", "https"]), "http", "How the endpoints are spoken to."),
    api: setting(
      text(/^https?:\/\/[^\s#?\\@]+$/, API_WANTED).refine(URL.canParse, API_WANTED).nullable(),
      null,
      "The URL of the API server. `null`: that of the cluster in which roundhouse runs.",
    ),
    token: setting(
      text(/^[\x21-\x7e]+$/, TOKEN_WANTED).nullable(),
      null,
      "The bearer token for the API server. `null`: that of the service account, unless `api` is set.",
      { secret: "whole" },
    ),
    ca: setting(
      filePath.nullable(),
      null,
      "A file with the authorities, in PEM, that have signed the certificate of the API server. `null`: those of the " +
        "service account, unless `api` is set.",
    ),
    ...commonKeys(),
  }));

const form = later(() =>
  z.codec(
    keys(),
    z.custom<KubernetesDiscover>((value) => (value as KubernetesDiscover).kind === "kubernetes"),
    {
      decode({ kubernetes, ...rest }): KubernetesDiscover {
        const [, namespace = "", service = "", port = null] = TARGET.exec(kubernetes) ?? [];
        return { kind: "kubernetes", namespace, service, port, ...rest };
      },
      encode: ({ kind: _, namespace, service, port, ...rest }) => ({
        kubernetes: targetOf({ namespace, service, port }),
        ...rest,
      }),
    },
  )
);

export const kubernetes: DiscoverKind<typeof form> = {
  name: "kubernetes",
  words: "kubernetes:NAMESPACE/SERVICE:PORT",
  form,
  fromText: (rest) => ({ kubernetes: rest }),
  describe: (discover) => `kubernetes:${targetOf(discover)}`,
};

function targetOf({ namespace, service, port }: Pick<KubernetesDiscover, "namespace" | "service" | "port">): string {
  return `${namespace}/${service}${port === null ? "" : `:${port}`}`;
}

/** Names of ports have a letter in them. */
function hasPort(target: string): boolean {
  const [, port] = target.split(":");
  return port === undefined || !/^[0-9]+$/.test(port) || (Number(port) >= 1 && Number(port) <= 65535);
}

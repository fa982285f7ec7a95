/** `discover`: where the backends of a pool come from, if the file does not list them. */
import * as z from "zod";
import { dns } from "../discover/dns.ts";
import { docker } from "../discover/docker.ts";
import { etcd } from "../discover/etcd.ts";
import { file } from "../discover/file.ts";
import { http } from "../discover/http.ts";
import type { DiscoverKind } from "../discover/kind.ts";
import { kubernetes } from "../discover/kubernetes.ts";
import { srv } from "../discover/srv.ts";
import type { DeepReadonly } from "../fields.ts";
import { nearest } from "../nearest.ts";
import { later, setting } from "../setting.ts";

/** Every kind, in the order of the documentation. A new kind needs a line here, and one in `sources/registry.ts`. */
const KINDS = [dns, srv, file, http, kubernetes, docker, etcd] as const;

type AnyForm = (typeof KINDS)[number]["form"];

/** Where the backends of a pool come from. */
export type Discover = DeepReadonly<z.output<AnyForm>>;

/** The names of all kinds. */
export const DISCOVER_KINDS: readonly Discover["kind"][] = KINDS.map(({ name }) => name as Discover["kind"]);

const WORDS = KINDS.map(({ words }) => JSON.stringify(words));
const NAMES = KINDS.map(({ name }) => JSON.stringify(name));
const WANTED = `${WORDS.join(", ")}, or an object with one of ${NAMES.join(", ")}`;

/** Each kind by what its text begins with. */
const BY_PREFIX: ReadonlyMap<string, DiscoverKind> = new Map(
  KINDS.flatMap((kind: DiscoverKind) => (kind.prefixes ?? [kind.name]).map((prefix) => [prefix, kind] as const)),
);

/** Only read, never written: what is shown has the object form, with all that counts. */
const asText = () =>
  z.codec(
    z.string(WANTED).meta({ pattern: `^(?:${[...BY_PREFIX.keys()].join("|")}):` }),
    z.custom<z.output<AnyForm>>((value) => typeof value === "object"),
    {
      decode(text, context): z.output<AnyForm> {
        const [prefix = ""] = text.split(":", 1);
        const kind = prefix === text ? undefined : BY_PREFIX.get(prefix);
        const refuse = (message: string) => {
          context.issues.push({ code: "custom", message, input: text });
          return z.NEVER;
        };
        if (kind === undefined) {
          const near = nearest(prefix, [...BY_PREFIX.keys()]);
          return refuse(near === undefined ? WANTED : `${WANTED}; did you mean ${JSON.stringify(`${near}:`)}?`);
        }
        const reading = kind.form.safeParse(kind.fromText(text.slice(prefix.length + 1), text));
        return reading.success ? reading.data as z.output<AnyForm> : refuse(JSON.stringify(kind.words));
      },
      encode: () => z.NEVER,
    },
  );

const forms = later(() => {
  const kinds = [...KINDS.map(({ form }) => form), asText()] as [AnyForm, ...AnyForm[], ReturnType<typeof asText>];
  return z.union(kinds, WANTED);
});

export const discover = setting(
  forms.nullable(),
  null,
  "Where the backends come from while roundhouse runs: a text such as `file:PATH`, or an object. `null`: nowhere else.",
  { more: "It stands in place of `backends`. See [discovery](discovery.md)." },
);

/** What a setting says, as people write it. No secrets. */
export function describeDiscover(discover: Discover): string {
  const kind = KINDS.find(({ name }) => name === discover.kind) as DiscoverKind | undefined;
  return kind?.describe(discover) ?? discover.kind;
}

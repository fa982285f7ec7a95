/** `discover` from etcd: `etcd:PREFIX`. */
import * as z from "zod";
import { text } from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** Keys of etcd, each of which holds a backend. */
export interface EtcdDiscover extends DiscoverCommon {
  readonly kind: "etcd";
  readonly prefix: string;
  /** Origins, at least one. */
  readonly endpoints: readonly string[];
  /** Either both are given or none. */
  readonly user: string | null;
  readonly password: string | null;
}

const ENDPOINT_WANTED = `the URL of an etcd server, such as "http://127.0.0.1:2379", without a path or credentials`;

const endpoint = text(/^https?:\/\/[^\s/\\?#@]+\/?$/, ENDPOINT_WANTED)
  .refine((value) => URL.canParse(value), ENDPOINT_WANTED);

const keys = () =>
  inUnits(
    z.strictObject({
      etcd: bareSetting(
        text(/^[^\0]+$/, "a prefix of keys"),
        "What the keys begin with. Each holds a URL, or a backend as a JSON object. End it with `/`.",
      ),
      endpoints: setting(
        z.array(endpoint).min(1, "at least one URL").max(16, "at most 16 URLs"),
        ["http://127.0.0.1:2379"],
        "The servers of one etcd cluster. When one fails, the next one is asked.",
      ),
      user: setting(text(/^[^\0]+$/, "a name, or null").nullable(), null, "The user, if etcd asks for one."),
      password: setting(text(/^[^\0]+$/, "a password, or null").nullable(), null, "The user's password.", {
        secret: "whole",
      }),
      ...commonKeys(),
    }),
  );

const form = later(() =>
  z.codec(
    keys(),
    z.custom<EtcdDiscover>((value) => (value as EtcdDiscover).kind === "etcd"),
    {
      decode({ etcd, ...rest }, context): EtcdDiscover {
        if ((rest.user === null) !== (rest.password === null)) {
          // At the key that is there: by those that are missing, other kinds of object are told apart.
          const [path, message] = rest.user === null
            ? ["password", "a password together with a user"]
            : ["user", "a user together with a password"];
          context.issues.push({ code: "custom", message, path: [path], input: null });
          return z.NEVER;
        }
        return { kind: "etcd", prefix: etcd, ...rest, endpoints: rest.endpoints.map((url) => url.replace(/\/$/, "")) };
      },
      encode: ({ kind: _, prefix, endpoints, ...rest }) => ({ etcd: prefix, endpoints: [...endpoints], ...rest }),
    },
  )
);

export const etcd: DiscoverKind<typeof form> = {
  name: "etcd",
  words: "etcd:PREFIX",
  form,
  fromText: (rest) => ({ etcd: rest }),
  describe: ({ prefix }) => `etcd:${prefix}`,
};

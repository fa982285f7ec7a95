/** `discover` by the addresses of a name: `dns:HOST:PORT`. */
import * as z from "zod";
import { duration, whole } from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { dnsServer, nameOrAddress, splitHostPort } from "./host_name.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** Every address of a name, each with the same port. */
export interface DnsDiscover extends DiscoverCommon, DnsQuestions {
  readonly kind: "dns";
  /** A name in lower case, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What `dns` and `srv` have in common. */
export interface DnsQuestions {
  readonly scheme: "http" | "https";
  /** `ADDRESS:PORT`; `null`: as `/etc/resolv.conf` says. */
  readonly server: string | null;
  /** The time from one answer to the next question; `null`: as the answer says. */
  readonly refreshMs: number | null;
}

/** The keys of both. */
export const questionKeys = () => ({
  scheme: setting(z.enum(["http", "https"]), "http", "How the backends are spoken to.", {
    more: "With `https`, their certificates must be for the name, which engine `wire` alone can check.",
  }),
  server: setting(dnsServer.nullable(), null, "The DNS server to ask, `IP:PORT`. `null`: those of the system.", {
    more: "A name that is asked of it is complete: the search list and `/etc/hosts` do not count.",
  }),
  refresh: setting(
    duration(100).nullable(),
    null,
    "The time from one answer to the next question. `null`: as long as the answer holds, 1 s to 60 s.",
  ),
});

const keys = () =>
  inUnits(z.strictObject({
    dns: bareSetting(nameOrAddress, "A name. Each of its A and AAAA addresses is a backend."),
    port: bareSetting(whole(1, 65535), "The port of the backends."),
    ...questionKeys(),
    ...commonKeys(),
  }));

const form = later(() =>
  z.codec(keys(), z.custom<DnsDiscover>((value) => (value as DnsDiscover).kind === "dns"), {
    decode: ({ dns, ...rest }): DnsDiscover => ({ kind: "dns", host: dns, ...rest }),
    encode: ({ kind: _, host, ...rest }) => ({ dns: host, ...rest }),
  })
);

export const dns: DiscoverKind<typeof form> = {
  name: "dns",
  words: "dns:HOST:PORT",
  form,
  fromText(rest) {
    const { hostname, port } = splitHostPort(rest) ?? {};
    return { dns: hostname, port };
  },
  describe: ({ host, port }) => `dns:${host.includes(":") ? `[${host}]` : host}:${port}`,
};

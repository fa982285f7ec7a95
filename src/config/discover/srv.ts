/** `discover` by SRV records: `srv:NAME`. */
import * as z from "zod";
import { bareSetting, inUnits, later } from "../setting.ts";
import { type DnsQuestions, questionKeys } from "./dns.ts";
import { hostName } from "./host_name.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** The servers that SRV records name, with ports, weights and priorities. */
export interface SrvDiscover extends DiscoverCommon, DnsQuestions {
  readonly kind: "srv";
  /** In lower case. */
  readonly name: string;
}

const keys = () =>
  inUnits(z.strictObject({
    srv: bareSetting(hostName, "A name with SRV records, such as `_http._tcp.api.example.com`."),
    ...questionKeys(),
    ...commonKeys(),
  }));

const form = later(() =>
  z.codec(keys(), z.custom<SrvDiscover>((value) => (value as SrvDiscover).kind === "srv"), {
    decode: ({ srv, ...rest }): SrvDiscover => ({ kind: "srv", name: srv, ...rest }),
    encode: ({ kind: _, name, ...rest }) => ({ srv: name, ...rest }),
  })
);

export const srv: DiscoverKind<typeof form> = {
  name: "srv",
  words: "srv:NAME",
  form,
  fromText: (rest) => ({ srv: rest }),
  describe: ({ name }) => `srv:${name}`,
};

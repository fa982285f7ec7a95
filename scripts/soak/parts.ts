/** The parts of the soak. Each part starts the program anew and has several stages. */

import type { Options } from "./options.ts";
import type { HostileKind } from "./hostile.ts";

/** The clients that run at the same time, for a share of the part's time. */
export interface Stage {
  readonly share: number;
  readonly hostile: readonly HostileKind[];
  /** Whether there are clients that behave well or badly at random, and check their answers. */
  readonly mixed: boolean;
  /** The polite clients: their waits are judged, or only printed (`told`), or there are none. */
  readonly polite: "judged" | "told" | "absent";
}

export interface Part {
  readonly name: string;
  readonly share: number;
  /** Backends that misbehave at random, or backends that always serve. */
  readonly backends: "misbehaving" | "serving";
  readonly tls: boolean;
  /** How many file descriptors the program may have, for files and connections. */
  readonly openFiles?: number;
  readonly stages: readonly Stage[];
}

const AFTERWARDS: Stage = { share: 0.4, hostile: [], mixed: false, polite: "judged" };

const EVERYWHERE = [
  "resets",
  "silence",
  "one-byte uploads",
  "eight-byte uploads",
  "small downloads",
  "unfinished heads",
  "non-readers",
] as const;

/** The parts, with their shares of the whole time. */
const PARTS: readonly (Part & { readonly engine?: Options["engine"] })[] = [
  {
    name: "mixed",
    share: 0.25,
    backends: "misbehaving",
    tls: false,
    stages: [{ share: 1, hostile: [], mixed: true, polite: "absent" }],
  },
  {
    name: "clear",
    share: 0.3,
    backends: "serving",
    tls: false,
    stages: [{ share: 1, hostile: EVERYWHERE, mixed: false, polite: "judged" }],
  },
  {
    name: "tls",
    share: 0.25,
    backends: "serving",
    tls: true,
    stages: [{ share: 1, hostile: EVERYWHERE, mixed: false, polite: "judged" }],
  },
  {
    // While hostile clients hold all file descriptors, no client can be served. Afterwards, all must be.
    name: "descriptors",
    share: 0.1,
    backends: "serving",
    tls: true,
    openFiles: 256,
    stages: [
      { share: 0.6, hostile: ["idle tls", "silence", "unfinished heads"], mixed: false, polite: "absent" },
      AFTERWARDS,
    ],
  },
  {
    // The runtime reads such frames in its own loop without a limit. The waits of others during that time are only
    // printed.
    name: "http2",
    share: 0.1,
    backends: "serving",
    tls: true,
    engine: "fetch",
    stages: [{ share: 0.6, hostile: ["http2 floods"], mixed: false, polite: "told" }, AFTERWARDS],
  },
];

/** Returns the parts to run. Throws if there is no part with this name. */
export function partsFor({ engine, part: name }: Pick<Options, "engine" | "part">): readonly Part[] {
  const parts = PARTS.filter((part) =>
    (part.engine === undefined || part.engine === engine) && (name === undefined || part.name === name)
  );
  if (parts.length === 0) {
    const names = PARTS.map((part) => part.name).join(", ");
    throw new Error(`--part wants one of ${names} (http2 under engine fetch alone), not ${name}`);
  }
  const whole = parts.reduce((sum, { share }) => sum + share, 0);
  return parts.map((part) => ({ ...part, share: part.share / whole }));
}

/** What the soak consists of: the program is started anew for each part, and goes through the part's stages. */

import type { Options } from "./options.ts";
import type { HostileKind } from "./hostile.ts";

/** Who comes at the same time, for a share of the part's time. */
export interface Stage {
  readonly share: number;
  readonly hostile: readonly HostileKind[];
  /** Whether clients come that do this and that, and check what they get. */
  readonly mixed: boolean;
  /** What polite clients' waits mean: nothing is to be long, or it is told and nothing more, or nobody asks. */
  readonly polite: "judged" | "told" | "absent";
}

export interface Part {
  readonly name: string;
  readonly share: number;
  /** Those that misbehave by chance, or those that serve whoever comes. */
  readonly backends: "misbehaving" | "serving";
  readonly tls: boolean;
  /** The most files, connections among them, that the program may have open. */
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

/** Shares of the whole time. */
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
    // As long as others hold every descriptor nobody can be served; afterwards everybody is.
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
    // The runtime reads such frames in a loop of its own, without a limit; what others wait meanwhile is told.
    name: "http2",
    share: 0.1,
    backends: "serving",
    tls: true,
    engine: "fetch",
    stages: [{ share: 0.6, hostile: ["http2 floods"], mixed: false, polite: "told" }, AFTERWARDS],
  },
];

/** Those to run. Fails when there is no part of that name. */
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
